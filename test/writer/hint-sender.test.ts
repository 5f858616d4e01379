/** The write side's hints: what read apps get, and that nothing waits for it. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { HintSender, type HintSenderOptions } from '../../src/writer/hint-sender.js';
import { until } from '../support/until.js';

interface ReadApp {
  readonly url: string;
  readonly got: { readonly path: string; readonly token: string; readonly version: number }[];
  /** Answers that are owed while `isSilent`. */
  readonly owed: ServerResponse[];
  status: number;
  isSilent: boolean;
}

const faults: string[] = [];
beforeEach(() => void faults.splice(0));

async function readApp(): Promise<ReadApp> {
  const server: Server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { version } = JSON.parse(body);
    const { url: path = '', headers } = request;
    app.got.push({ path, token: headers.authorization ?? '', version });
    if (app.isSilent) app.owed.push(response);
    else response.writeHead(app.status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const app: ReadApp = {
    url: `http://127.0.0.1:${port}`,
    got: [],
    owed: [],
    status: 202,
    isSilent: false,
  };
  return app;
}

function sender(options: HintSenderOptions): HintSender {
  const made = new HintSender({ onFault: (reason) => faults.push(reason), ...options });
  onTestFinished(() => made.close());
  return made;
}

test('tells each read app, with its token', async () => {
  const [one, other] = [await readApp(), await readApp()];
  const hints = sender({ urls: [one.url, `${other.url}/base/`], tokens: ['a', 'b'] });
  hints.send(41);
  await until('both', () => one.got.length + other.got.length === 2);
  expect(one.got).toEqual([{ path: '/v1/hint', token: 'Bearer a', version: 41 }]);
  expect(other.got).toEqual([{ path: '/base/v1/hint', token: 'Bearer b', version: 41 }]);
});

test('sends the newest version when more come than are answered', async () => {
  const app = await readApp();
  const hints = sender({ urls: [app.url], timeoutMs: 60_000 });
  app.isSilent = true;
  hints.send(1);
  await until('the first', () => app.owed.length === 1);
  for (let version = 2; version <= 1_000; version += 1) hints.send(version);
  app.isSilent = false;
  app.owed[0]?.writeHead(202).end();
  await until('the newest', () => app.got.length === 2);
  expect(app.got.map(({ version }) => version)).toEqual([1, 1_000]);
});

test('gives up one that does not arrive, says so once, and goes on with the next', async () => {
  const app = await readApp();
  const hints = sender({ urls: [app.url], timeoutMs: 50 });
  app.isSilent = true;
  hints.send(1);
  await until('a fault', () => faults.length === 1);
  expect(faults[0]).toContain('no answer within 50 ms');
  app.isSilent = false;
  app.status = 401;
  hints.send(2);
  await until('the second', () => app.got.length === 2);
  app.status = 202;
  await until('a success', () => {
    hints.send(app.got.length + 2);
    return app.got.length >= 4;
  });
  expect(faults).toHaveLength(1); // the second in a row was not told
  app.status = 503;
  await until('a fault again', () => {
    hints.send(app.got.length + 2);
    return faults[1];
  });
  expect(faults[1]).toContain('HTTP status 503');
  expect(faults.join()).not.toContain('Bearer');
});

test('throws nothing without a read app, when it is away, and after its end', async () => {
  sender({ urls: [] }).send(1);
  const away = sender({ urls: ['http://127.0.0.1:1'] });
  away.send(1);
  await until('a fault', () => faults[0]?.startsWith('127.0.0.1:1: '));
  away.close();
  away.send(2);
});
