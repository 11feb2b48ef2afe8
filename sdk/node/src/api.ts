import { randomUUID } from "node:crypto";
import { type Answer, ask, bounded, failure, jsonOf } from "./answer.js";
import type { Clock } from "./clock.js";
import type { Config } from "./config.js";
import { baseOf } from "./config.js";
import { ConfigError, ConnectionError, QUOTA_EXCEEDED, RefusedError, refusalOf } from "./error.js";
import { retry } from "./retry.js";
import { TokenSource } from "./token-source.js";

const ATTEMPT = 30_000;
const WHOLE = 60_000; // all attempts, pauses and the wait for tokens
const LARGEST_ANSWER = 16 << 20; // a page of the largest events

/** Goes with every call. */
export interface CallOptions {
  /** Ends the call. Without it every attempt has 30 seconds, and all together 60. */
  signal?: AbortSignal | undefined;
}

/** Parameters of a query; those without a value are left out. */
export type Query = Record<string, string | number | boolean | Date | undefined>;

/** One request of the management API. */
export interface Call {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: Query | undefined;
  /** Sent as JSON. */
  body?: object | undefined;
  /** Sent instead of a body. */
  form?: Query | undefined;
  /** It needs no token. */
  open?: boolean;
  /** Doing it twice is doing it once. GET and DELETE always; a POST with a body has an Idempotency-Key. */
  repeatable?: boolean;
  accept?: string;
  takes?: number;
}

/** Makes the calls of the management API. */
export class Api {
  readonly url: string;
  private readonly source: TokenSource | ConfigError;

  constructor(
    private readonly config: Config,
    readonly clock: Clock,
  ) {
    this.url = baseOf(config.url);
    try {
      this.source = new TokenSource({ ...config, resources: undefined }, clock);
    } catch (error) {
      if (config.clientId || !(error instanceof ConfigError)) throw error;
      this.source = error; // it can call what is open
    }
  }

  /** Where the calls' tokens come from. */
  tokens(): TokenSource {
    if (this.source instanceof ConfigError) throw this.source;
    return this.source;
  }

  /** Makes the call and reads its answer as JSON. */
  async json<T>(call: Call, options?: CallOptions): Promise<T> {
    return jsonOf(await this.answer(call, options), call.path) as T;
  }

  /**
   * Makes the call. It is repeated after a broken connection, a 429 or a 503 that names no long pause, if that does no
   * harm, and once with another token after a 401.
   */
  answer(call: Call, options: CallOptions = {}): Promise<Answer> {
    const limit = this.clock.deadline(WHOLE);
    const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
    const key = call.method === "POST" && call.body && !call.repeatable ? randomUUID() : undefined; // the IdP does it once
    const repeatable = call.repeatable || key !== undefined || call.method === "GET" || call.method === "DELETE";
    let replaced = false;
    let token: string | undefined;
    const again = (error: unknown) => {
      if (error instanceof ConnectionError) return repeatable && !error.late;
      if (!(error instanceof RefusedError)) return false;
      if (error.status === 401 && error.code === "UNAUTHENTICATED" && token !== undefined && !replaced) {
        replaced = true;
        this.tokens().forget();
        return true;
      }
      return repeatable && error.code !== QUOTA_EXCEEDED && (error.status === 429 || error.status === 503);
    };
    const once = async () => {
      // The source has tried as often as it should: its error is final.
      token = call.open ? undefined : await this.tokens().accessToken({ signal }).catch(final);
      return ask({
        fetch: this.fetch,
        url: this.address(call),
        init: this.init(call, token, key, signal),
        timeout: this.config.timeout ?? ATTEMPT,
        limit: LARGEST_ANSWER,
        what: call.path,
        takes: call.takes,
      });
    };
    return retry(this.clock, (error) => !(error instanceof Final) && again(error), once, signal).catch((error) => {
      const late = limit.aborted && !options.signal?.aborted;
      if (late) throw new ConnectionError(`${call.path}: no answer in time`, true, { cause: error });
      throw error instanceof Final ? error.cause : error;
    });
  }

  /** The answer to a GET as it comes, without a deadline for the whole. The caller reads or cancels it. */
  async stream(call: Call, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const token = await this.tokens().accessToken({ signal });
    let response: Response;
    try {
      response = await this.fetch(this.address(call), {
        ...this.init(call, token, undefined, signal),
        redirect: "manual",
      });
      if (response.ok && response.body) return response.body;
    } catch (error) {
      throw failure(error, call.path, signal);
    }
    throw refusalOf(response, (await bounded(response, LARGEST_ANSWER)) ?? new Uint8Array());
  }

  private get fetch(): typeof globalThis.fetch {
    return this.config.fetch ?? globalThis.fetch;
  }

  private address({ path, query = {} }: Call): string {
    const parameters = new URLSearchParams(texts(query)).toString();
    return this.url + path + (parameters && `?${parameters}`);
  }

  private init(
    call: Call,
    token: string | undefined,
    key: string | undefined,
    signal: AbortSignal | undefined,
  ): RequestInit {
    const headers: Record<string, string> = { Accept: call.accept ?? "application/json" };
    if (token !== undefined) headers.Authorization = `Bearer ${token}`;
    if (key !== undefined) headers["Idempotency-Key"] = key;
    const init: RequestInit = { method: call.method, headers, signal: signal ?? null };
    if (call.form) init.body = new URLSearchParams(texts(call.form));
    if (call.body) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(call.body);
    }
    return init;
  }
}

/** An error that is not to be tried again, whatever it is. */
class Final extends Error {}

function final(cause: unknown): never {
  throw new Final("", { cause });
}

function texts(query: Query): [string, string][] {
  const pairs: [string, string][] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === "") continue;
    pairs.push([name, value instanceof Date ? value.toISOString() : String(value)]);
  }
  return pairs;
}

/** A path of literals and texts, each of which is one segment of it. */
export function path(literals: TemplateStringsArray, ...segments: string[]): string {
  return String.raw({ raw: literals }, ...segments.map(segment));
}

/** A text as one segment; `.` and `..` would lead elsewhere, as would nothing. */
function segment(text: string): string {
  if (text === "" || text === "." || text === "..") throw new TypeError(`${JSON.stringify(text)} is no id`);
  return encodeURIComponent(text);
}
