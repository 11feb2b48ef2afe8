import type { components } from "./schema";

export type FieldProblem = { field: string; rule: string };

// Problem is every failure of a call: what the API answered, or that it did not.
export class Problem extends Error {
  readonly status: number; // 0: no answer
  readonly code: string;
  readonly reason: string | undefined;
  readonly fields: FieldProblem[];
  readonly requestId: string | undefined;
  readonly needs: string | undefined; // the capability that the token lacks (RFC 6750, 3.1)
  readonly retryAfter: number | undefined; // seconds
  readonly details: Record<string, unknown>;

  constructor(init: {
    status: number;
    code: string;
    message: string;
    details?: Record<string, unknown>;
    headers?: Headers;
  }) {
    super(init.message);
    this.name = "Problem";
    this.status = init.status;
    this.code = init.code;
    this.details = init.details ?? {};
    this.reason = typeof this.details.reason === "string" ? this.details.reason : undefined;
    this.fields = Array.isArray(this.details.fields) ? (this.details.fields as FieldProblem[]) : [];
    this.requestId = init.headers?.get("X-Request-Id") ?? undefined;
    const challenge = init.headers?.get("WWW-Authenticate") ?? "";
    this.needs = /\berror="insufficient_scope"/.test(challenge) ? /\bscope="([^"]+)"/.exec(challenge)?.[1] : undefined;
    const wait = Number(init.headers?.get("Retry-After") ?? Number.NaN);
    this.retryAfter = Number.isFinite(wait) ? wait : undefined;
  }

  // passing reports that the same call may succeed later.
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

type ApiError = components["schemas"]["Error"];
type OAuthError = components["schemas"]["OAuthError"];

// problemOf reads a refusal in either form of the API.
export function problemOf(response: Response, body: unknown): Problem {
  const { status, headers } = response;
  if (isObject(body) && typeof body.code === "string") {
    const e = body as unknown as ApiError;
    return new Problem({
      status,
      code: e.code,
      message: e.message,
      details: e.details as Record<string, unknown>,
      headers,
    });
  }
  if (isObject(body) && typeof body.error === "string") {
    const e = body as unknown as OAuthError;
    return new Problem({ status, code: e.error, message: e.error_description ?? e.error, headers });
  }
  return new Problem({
    status,
    code: `HTTP_${status}`,
    message: "the answer is not from the IdP: is a proxy between?",
    headers,
  });
}

export function unreachable(): Problem {
  return new Problem({
    status: 0,
    code: "UNREACHABLE",
    message: "nothing came back: it may be restarting, or the way to it is broken",
  });
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem({
    status: -1,
    code: "DASHBOARD",
    message: error instanceof Error ? error.message : String(error),
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
