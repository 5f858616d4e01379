import { createReader } from '../src/index.js';

const reader = createReader({
  mysql: process.env.MYSQL_B_URL ?? 'mysql://tidemark_reader:secret@mysql-b:3306/app',
  redis: process.env.REDIS_URL ?? 'redis://redis-b:6379',
});
reader.on('change', ({ keys }) => console.log('changed:', keys));
await reader.start();

const config = await reader.get('checkout/log-levels/api'); // local, else Redis, else MySQL-B
console.log(config.json(), config.version, config.tier);
await reader.stop();
