import type { IncomingMessage, ServerResponse } from "node:http";
import { covers } from "./capability.js";
import type { Claims } from "./claims.js";
import { TokenRefusedError, UndecidedError } from "./refusals.js";
import type { Verifier } from "./verifier.js";

/** What a request needs besides a good token. */
export interface Demand {
  /** The capability that the token's scope must cover. Default: none. */
  scope?: string | undefined;
}

/** A request that passed. */
export interface Authenticated {
  /** What the token says; `subject` is the agent's id. */
  agent?: Claims;
}

/** An answer to a request that does not pass. */
interface Denial {
  status: 401 | 403 | 503;
  headers: Record<string, string>;
  body: { code: string; message: string; details: { reason: string } };
}

/**
 * Middleware for Express, and for whatever else calls `(request, response, next)` with those of `node:http`. A request
 * that passes has `request.agent`; any other is answered here: 401 without a good token, 403 without the scope, 503 when
 * it cannot be decided.
 *
 * ```ts
 * app.get("/notes", requireToken(verifier, { scope: "notes:read" }), (request, response) => { … });
 * ```
 */
export function requireToken(verifier: Pick<Verifier, "verify">, demand: Demand = {}) {
  return (
    request: IncomingMessage & Authenticated,
    response: ServerResponse,
    next: (error?: unknown) => void,
  ): void => {
    judge(verifier, demand, request.rawHeaders).then((verdict) => {
      if (!("status" in verdict)) {
        request.agent = verdict.claims;
        return next();
      }
      response.writeHead(verdict.status, { ...verdict.headers, "Content-Type": "application/json" });
      response.end(JSON.stringify(verdict.body));
    }, next);
  };
}

/** Fastify's reply, as far as it is needed. */
export interface Reply {
  code(status: number): this;
  headers(fields: Record<string, string>): this;
  send(body: unknown): unknown;
}

/**
 * The same as a hook for Fastify.
 *
 * ```ts
 * app.get("/notes", { onRequest: fastifyToken(verifier, { scope: "notes:read" }) }, async (request) => { … });
 * ```
 */
export function fastifyToken(verifier: Pick<Verifier, "verify">, demand: Demand = {}) {
  return async (request: { raw: IncomingMessage } & Authenticated, reply: Reply): Promise<unknown> => {
    const verdict = await judge(verifier, demand, request.raw.rawHeaders);
    if ("status" in verdict) return reply.code(verdict.status).headers(verdict.headers).send(verdict.body);
    request.agent = verdict.claims;
    return undefined;
  };
}

async function judge(
  verifier: Pick<Verifier, "verify">,
  { scope }: Demand,
  rawHeaders: readonly string[],
): Promise<Denial | { claims: Claims }> {
  const token = tokenOf(rawHeaders);
  if (token === undefined) return denied(401, "token_missing", "");
  try {
    const claims = await verifier.verify(token);
    if (scope === undefined || covers(claims.scope, scope)) return { claims };
    return denied(403, "capability_missing", ` error="insufficient_scope", scope="${scope}"`);
  } catch (error) {
    if (error instanceof TokenRefusedError) return denied(401, error.reason, ' error="invalid_token"');
    if (error instanceof UndecidedError) return denied(503, error.reason);
    throw error;
  }
}

/** The one bearer token; `undefined` for none, several, or another scheme. Raw, as Node drops a second Authorization. */
function tokenOf(rawHeaders: readonly string[]): string | undefined {
  const credentials = rawHeaders.filter(
    (_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === "authorization",
  );
  const [only, second] = credentials;
  return second === undefined ? /^bearer +([^\s,]+)$/i.exec(only ?? "")?.[1] : undefined;
}

const CODES = { 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 503: "UNAVAILABLE" } as const;
const MESSAGES = {
  401: "a valid access token is required",
  403: "the token does not allow this request",
  503: "the request cannot be decided now",
} as const;

/** @param challenge - what follows `Bearer` (RFC 6750 section 3); `undefined`: no challenge */
function denied(status: Denial["status"], reason: string, challenge?: string): Denial {
  const headers: Record<string, string> = { "Cache-Control": "no-store" };
  if (challenge !== undefined) headers["WWW-Authenticate"] = `Bearer${challenge}`;
  else headers["Retry-After"] = "1";
  return { status, headers, body: { code: CODES[status], message: MESSAGES[status], details: { reason } } };
}
