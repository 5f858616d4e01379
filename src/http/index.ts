/** The two apps as Fastify plugins, for a service of your own: `tidemark/http`. */
export { type ReadAppOptions, readApp } from './read-app.js';
export { type WriteAppOptions, writeApp } from './write-app.js';
