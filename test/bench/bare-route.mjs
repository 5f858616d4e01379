// The peer of http-hit: one Fastify route that sends fixed bytes and headers, and does nothing else.
import Fastify from 'fastify';

const { headers, body } = JSON.parse(process.argv[2]);
const bytes = Buffer.from(body);
const server = Fastify({ logger: false });
server.get('/v1/configs/*', (_request, reply) => reply.headers(headers).send(bytes));
process.send(await server.listen({ host: '127.0.0.1', port: 0 }));
process.on('disconnect', () => process.exit());
