import type { components } from "./schemas.js";

/** The codes of management operations; those of the token endpoints are lower case, such as `invalid_client`. */
export type ErrorCode = components["schemas"]["Error"]["code"];

/** Say more about a refusal; which are there depends on its code. */
export type ErrorDetails = components["schemas"]["Error"]["details"];

/** Every error of this package is one. */
export abstract class AgentIdPError extends Error {}

/** The IdP's refusal of a request: of a token (RFC 6749 section 5.2) or of a management operation. */
export class RefusedError extends AgentIdPError {
  override readonly name = "RefusedError";
  /** The HTTP status. */
  readonly status: number;
  /** `NOT_FOUND`, …, at the token endpoints `invalid_client`, …; empty when the answer was not the IdP's. */
  readonly code: ErrorCode | (string & {});
  readonly details: ErrorDetails;
  /** `X-Request-Id`, to find the refusal in the IdP's log. */
  readonly requestId: string;
  /** Seconds after which the IdP asks to be asked again; 0: it named none. */
  readonly retryAfter: number;

  /** @internal */
  constructor(status: number, answer: { code: string; message: string; details: ErrorDetails }, headers: Headers) {
    super(answer.message || `refused with status ${status}`);
    this.status = status;
    this.code = answer.code;
    this.details = answer.details;
    this.requestId = headers.get("x-request-id") ?? "";
    this.retryAfter = retryAfterOf(headers);
  }

  /** Whether the same request may succeed later. A quota that is used up comes back with the next month only. */
  get temporary(): boolean {
    return (this.status === 429 && this.code !== QUOTA_EXCEEDED) || this.status >= 500;
  }
}

/** The 429 of the token endpoint that no waiting mends before the next month. */
export const QUOTA_EXCEEDED = "quota_exceeded";

/** Reads an answer that is no success, whichever of the two forms its body has. */
export function refusalOf(response: Response, body: Uint8Array): RefusedError {
  let answer: Record<string, unknown> = {};
  try {
    answer = { ...JSON.parse(new TextDecoder().decode(body)) };
  } catch {
    // Of something in between: the status says it.
  }
  const oauth = !textOf(answer.code);
  const code = textOf(oauth ? answer.error : answer.code);
  const message = textOf(oauth ? answer.error_description : answer.message);
  return new RefusedError(response.status, { code, message, details: detailsOf(answer.details) }, response.headers);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Takes what is known, and only as what it should be. */
function detailsOf(value: unknown): ErrorDetails {
  const told = { ...(value as Record<keyof ErrorDetails, unknown>) };
  const details: ErrorDetails = {};
  if (Array.isArray(told.fields)) {
    details.fields = told.fields.map((each) => ({ field: textOf(each?.field), rule: textOf(each?.rule) }));
  }
  if (typeof told.reason === "string") details.reason = told.reason;
  if (typeof told.nextSequence === "number") details.nextSequence = told.nextSequence;
  if (typeof told.credentialId === "string") details.credentialId = told.credentialId;
  return details;
}

const LONGEST_RETRY_AFTER = 2 ** 31; // seconds: longer than anybody waits, and a number everywhere

/** Retry-After (RFC 9110 section 10.2.3), in seconds; a date counts from that of the answer. */
function retryAfterOf(headers: Headers): number {
  const said = headers.get("retry-after") ?? "";
  if (/^[0-9]+$/.test(said)) return Math.min(Number(said), LONGEST_RETRY_AFTER);
  const now = Date.parse(headers.get("date") ?? "");
  const seconds = Math.ceil((Date.parse(said) - (Number.isNaN(now) ? Date.now() : now)) / 1000);
  return /^[A-Z][a-z]{2}, /.test(said) && seconds > 0 ? Math.min(seconds, LONGEST_RETRY_AFTER) : 0;
}

/**
 * A secret was rotated, and the answer that had the new one is lost; the IdP shows it once. Nothing was rotated again,
 * as that ends the old secret at once. The refusal of the repeated request is the `cause`.
 */
export class SecretLostError extends AgentIdPError {
  override readonly name = "SecretLostError";

  /** @internal */
  constructor(
    /** Whose secret it is. */
    readonly credentialId: string,
    /** Until when the old secret is good, at least. */
    readonly oldSecretUntil: Date,
    cause: RefusedError,
  ) {
    const until = oldSecretUntil.toISOString();
    super(
      `the new secret of credential ${credentialId} is lost: its answer did not arrive, and the IdP shows it once. ` +
        `The old one stays good until ${until}, and ends at once when the credential is rotated again: ` +
        "before then, tell everybody who uses it, and rotate once more",
      { cause },
    );
  }
}

/** The configuration cannot work. Its text never holds a secret. */
export class ConfigError extends AgentIdPError {
  override readonly name = "ConfigError";
}

/** Whom was asked was not reached, or did not answer in time. */
export class ConnectionError extends AgentIdPError {
  override readonly name = "ConnectionError";

  /** @param late - there was no answer in time: what was asked for may have been done. */
  constructor(
    message: string,
    readonly late: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What answered is not what it should be: not JSON, too large, or without what it must have. */
export class InvalidAnswerError extends AgentIdPError {
  override readonly name = "InvalidAnswerError";
}
