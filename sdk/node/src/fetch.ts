import type { TokenSource } from "./token-source.js";

/** What `fetch` is. */
export type AuthenticatedFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * `fetch` that sends a token of the source with every request. After a 401 it forgets that token and, where the body
 * can be sent again, tries once more with another: who answers 401 has done nothing. When there is no other token, the
 * caller gets the 401. Redirects are not followed, as a token is for one API: the caller gets the answer that is one.
 *
 * Tokens are bearer tokens: call the APIs that the source's `resources` name, and nobody else.
 */
export function authenticatedFetch(source: TokenSource, fetch?: typeof globalThis.fetch): AuthenticatedFetch {
  return async (input, init = {}) => {
    const inner = fetch ?? globalThis.fetch;
    const signal = init.signal ?? (input instanceof Request ? input.signal : undefined);
    const redirect = init.redirect === "error" ? "error" : "manual";
    const send = (token: string) => {
      const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
      headers.set("Authorization", `Bearer ${token}`);
      return inner(input, { ...init, headers, redirect });
    };
    const token = await source.accessToken({ signal });
    const response = await send(token);
    if (response.status !== 401 || !source.reject(token) || !repeatable(input, init.body)) return response;
    const another = await source.accessToken({ signal }).catch(() => token);
    if (another === token) return response;
    await response.body?.cancel();
    return send(another);
  };
}

/** Whether the body is still there after it was sent. */
function repeatable(input: string | URL | Request, body: RequestInit["body"]): boolean {
  if (body === undefined || body === null) return !(input instanceof Request && input.body);
  return !(body instanceof ReadableStream || (typeof body === "object" && Symbol.asyncIterator in body));
}
