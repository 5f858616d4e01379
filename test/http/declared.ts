/**
 * Holds what an app answers against its own OpenAPI document: the status, the content type, the
 * headers that must be there, and the body by its schema.
 */
import Fastify, { type FastifyInstance } from 'fastify';

export interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [keyword: string]: unknown;
}
interface Response {
  readonly headers?: Readonly<Record<string, { schema: Schema }>>;
  readonly content?: Readonly<Record<string, { schema: Schema }>>;
}
export interface Parameter {
  readonly in: 'path' | 'query' | 'header';
  readonly name: string;
  readonly schema: Schema;
}
export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema: Schema }>> };
  readonly security: readonly object[];
  readonly responses: Readonly<Record<string, Response>>;
}
export interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly responses: Readonly<Record<string, Response>>;
    readonly securitySchemes?: Readonly<Record<string, object>>;
  };
}

export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Undefined when it is not known. */
  readonly body?: string | undefined;
}

type Validate = (data: unknown) => boolean;

/** Optional in any answer, whatever the document says of it. */
const CONDITIONAL = ['tidemark-stale'];

export class Declared {
  readonly #validators = new Map<Schema, Validate>();
  private constructor(
    readonly document: OpenApi,
    private readonly compile: (schema: Schema) => Validate,
  ) {}

  static async of(server: FastifyInstance, url = '/v1/openapi.json'): Promise<Declared> {
    const response = await server.inject(url);
    if (response.statusCode !== 200) throw new Error(`Expected a document, got ${response.body}`);
    return new Declared(response.json(), await compiler());
  }

  /** What is wrong with an answer; undefined when it is as declared. */
  fault(exchange: Exchange): string | undefined {
    const { method, url, status, headers } = exchange;
    const response = this.#responseOf(exchange);
    const what = `${method} ${url.slice(0, 200)} answered ${status}`;
    if (response === undefined) return `${what}, which is not declared`;
    for (const [name, { schema }] of Object.entries(response.headers ?? {})) {
      const value = headers[name.toLowerCase()];
      if (value === undefined && CONDITIONAL.includes(name.toLowerCase())) continue;
      const typed = schema.type === 'integer' ? Number(value) : value;
      if (!this.#validate(schema, typed)) return `${what} with ${name}: ${String(value)}`;
    }
    return this.#bodyFault(what, response, exchange);
  }

  #bodyFault(what: string, response: Response, exchange: Exchange): string | undefined {
    const { method, headers, body } = exchange;
    const type = String(headers['content-type'] ?? '').split(';', 1)[0] ?? '';
    if (response.content === undefined) {
      return body ? `${what} with a body, and none is declared` : undefined;
    }
    const schema = response.content[type]?.schema;
    if (schema === undefined) return `${what} as '${type}', which is not declared`;
    // A schema without a word is of bytes as they are stored, which need not be JSON.
    const isAny = type === 'text/plain' || Object.keys(schema).length === 0;
    if (method === 'HEAD' || body === undefined || isAny) return undefined;
    try {
      if (this.#validate(schema, JSON.parse(body))) return undefined;
    } catch {
      // Told below, as any body that is not what it should be.
    }
    return `${what} with a body that is not as declared: ${body.slice(0, 300)}`;
  }

  #responseOf({ method, url, status }: Exchange): Response | undefined {
    const path = this.pathOf(url);
    const operation = path === undefined ? undefined : this.document.paths[path]?.[lower(method)];
    const declared = operation?.responses[status];
    if (declared !== undefined) return declared;
    if (status === 405 && operation !== undefined) return undefined;
    return this.document.components.responses[status];
  }

  /** The path of the document that a URL is of. */
  pathOf(url: string): string | undefined {
    const [path = ''] = url.replace(/^https?:\/\/[^/?]*/i, '').split(/[?#]/, 1);
    if (this.document.paths[path] !== undefined) return path;
    return Object.keys(this.document.paths).find((template) => {
      const [start = '', end] = template.split('{key}');
      return end !== undefined && path.startsWith(start);
    });
  }

  #validate(schema: Schema, data: unknown): boolean {
    let validate = this.#validators.get(schema);
    if (validate === undefined) {
      validate = this.compile(schema);
      this.#validators.set(schema, validate);
    }
    return validate(data);
  }
}

/** Collects what `server` answers from now on; to be called before it has routes. */
export function observed(server: FastifyInstance): { faults(): Promise<string[]> } {
  const exchanges: Exchange[] = [];
  server.addHook('onSend', async (request, reply, payload) => {
    const { method, url } = request;
    const body =
      typeof payload === 'string' || Buffer.isBuffer(payload) ? payload.toString() : undefined;
    const headers = { ...reply.getHeaders() };
    exchanges.push({ method, url, status: reply.statusCode, headers, body });
  });
  return {
    async faults() {
      const declared = await Declared.of(server);
      return exchanges.flatMap((exchange) => declared.fault(exchange) ?? []);
    },
  };
}

function lower(method: string): string {
  return method.toLowerCase();
}

/** Fastify's own validator, without its conversions. */
async function compiler(): Promise<(schema: Schema) => Validate> {
  const strict = { coerceTypes: false, removeAdditional: false, useDefaults: false } as const;
  const host = Fastify({ ajv: { customOptions: strict } });
  return await new Promise((resolve) => {
    host.get('/', async (request) => {
      resolve((schema) => {
        const validate = request.compileValidationSchema({ ...schema });
        return (data) => validate(data) === true;
      });
      return '';
    });
    void host.inject('/');
  });
}
