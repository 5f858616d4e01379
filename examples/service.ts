/** A service in data center B that reads its configuration through Tidemark, in its own process. */
import { createServer } from 'node:http';
import { createReader, type Reading, UnavailableError } from 'tidemark';

const { MYSQL_B_URL = '', REDIS_URL = '', PORT = '3000' } = process.env;
const reader = createReader({ mysql: MYSQL_B_URL, redis: REDIS_URL });
reader.on('change', ({ keys, to }) => console.log(`version ${to} changed ${keys.join(', ')}`));

const server = createServer(async (request, response) => {
  if (request.url === '/health') return response.writeHead(reader.ready ? 200 : 503).end();
  try {
    response.end(greeting(await reader.get('greeter/greeting')));
  } catch (error) {
    if (!(error instanceof UnavailableError)) console.error(error);
    response.writeHead(503, { 'retry-after': '1' }).end();
  }
});

function greeting(config: Reading): string {
  const { text = 'Hello' } = config.json<{ text?: string }>() ?? {}; // no such key: the default
  return config.stale ? `${text} (as far as we know)\n` : `${text}\n`;
}

await reader.start(); // MySQL-B has answered; `ready` follows
server.listen(Number(PORT), () => console.log(`listening on ${PORT}`));
process.once('SIGTERM', () => server.close(() => reader.stop()));
