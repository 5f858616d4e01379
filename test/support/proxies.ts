/** Proxies on which connections can be cut, for one test. */
import { onTestFinished } from 'vitest';
import { FaultProxy } from '../chaos/proxy.js';

/** A proxy in front of what `url` leads to, and the URL that leads through it. */
export async function behindProxy(url: string): Promise<[FaultProxy, string]> {
  const through = new URL(url);
  const port = Number(through.port);
  const proxy = await FaultProxy.start({ target: () => port, random: Math.random });
  onTestFinished(() => proxy.close());
  through.port = String(proxy.port);
  return [proxy, through.href];
}
