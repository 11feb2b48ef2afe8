import type { TokenSource } from "./token-source.js";

// The shapes of undici's types, which this package does not depend on.
interface Options {
  // biome-ignore lint/suspicious/noExplicitAny: any of undici's forms: pairs in a row, an object, an iterable
  headers?: any;
}
interface Handler {
  // biome-ignore lint/suspicious/noExplicitAny: undici's own controller
  onResponseError?(controller: any, error: Error): void;
  onError?(error: Error): void;
}

/**
 * An interceptor for undici (7 and later): requests of the dispatcher carry a token of the source. One that they
 * already carry is replaced.
 *
 * ```ts
 * const dispatcher = new Agent().compose(undiciInterceptor(source));
 * await request("https://notes.example.com/notes", { dispatcher });
 * ```
 *
 * Nothing is sent again after a 401: tell {@link TokenSource.forget}, or use {@link TokenSource.fetch}.
 */
export function undiciInterceptor(source: TokenSource) {
  return <O extends Options, H extends Handler>(dispatch: (options: O, handler: H) => boolean) =>
    (options: O, handler: H): boolean => {
      source.accessToken().then(
        (token) => dispatch({ ...options, headers: withToken(options.headers, token) }, handler),
        (error) => (handler.onResponseError ? handler.onResponseError(undefined, error) : handler.onError?.(error)),
      );
      return true;
    };
}

function withToken(headers: unknown, token: string): string[] {
  const fields = pairsOf(headers).filter(([name]) => name.toLowerCase() !== "authorization");
  return [...fields, ["authorization", `Bearer ${token}`] as const].flat();
}

/** Pairs of names and values, whichever of undici's forms they have. */
function pairsOf(headers: unknown): [string, string][] {
  if (!headers) return [];
  if (Array.isArray(headers) && !Array.isArray(headers[0])) {
    const pairs: [string, string][] = [];
    for (let i = 0; i + 1 < headers.length; i += 2) pairs.push([String(headers[i]), String(headers[i + 1])]);
    return pairs;
  }
  const iterable = typeof headers === "object" && Symbol.iterator in headers;
  const entries = iterable ? (headers as Iterable<[string, unknown]>) : Object.entries(headers as object);
  const pairs: [string, string][] = [];
  for (const [name, value] of entries) {
    for (const each of [value].flat()) if (each !== undefined && each !== null) pairs.push([name, String(each)]);
  }
  return pairs;
}
