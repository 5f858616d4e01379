/** Addresses and networks in CIDR notation, such as those of load balancers. */
import { isIP } from 'node:net';

/** Whether Fastify's `trustProxy` takes it. A network of all addresses is none: whoever trusts it
 * believes any client. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || address.includes('%') || more.length > 0) return false;
  if (bits === undefined) return true;
  return /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32);
}
