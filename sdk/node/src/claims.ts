import { TokenRefusedError } from "./refusals.js";
import { readObject } from "./strict-json.js";

const LONGEST_IDENTITY = 256; // bytes of sub, jti, client_id, org
const LONGEST_REFERENCE = 2 << 10; // of iss, each aud, the address of a status list
const LATEST = 253402300799; // 9999-12-31T23:59:59Z; beyond it is nonsense

/** What a verified token says. Times are Unix seconds. */
export interface Claims {
  issuer: string;
  /** The agent's id. */
  subject: string;
  audience: string[];
  clientId: string;
  organization: string;
  /** Capabilities, separated by spaces; may be empty. See {@link covers}. */
  scope: string;
  jti: string;
  issuedAt: number;
  expiresAt: number;
  notBefore?: number;
  /** The revocation epochs of organization, agent and credential. */
  rev: [number, number, number];
  /** Where the token is looked up in a status list. */
  status?: StatusReference;
  /** The id of the key that verified it. */
  kid: string;
}

/** A place in a Token Status List (draft-ietf-oauth-status-list section 6). */
export interface StatusReference {
  uri: string;
  index: number;
}

/**
 * Reads claims by exact names and strict types, before the signature is looked at. Unknown ones are ignored.
 * @throws TokenRefusedError malformed, claims_invalid
 */
export function readClaims(payload: Uint8Array, kid: string): Claims {
  const object = readObject(payload);
  if (!object) throw new TokenRefusedError("malformed");
  const { members, inexact } = object;
  const has = (name: string) => Object.hasOwn(members, name);
  const integer = (name: string) => {
    const value = members[name];
    return demand(!inexact.has(name) && typeof value === "number" && value >= 1 && value <= LATEST && value);
  };
  const claims: Claims = {
    issuer: text(members.iss, LONGEST_REFERENCE),
    subject: text(members.sub, LONGEST_IDENTITY),
    audience: audienceOf(members.aud),
    clientId: text(members.client_id, LONGEST_IDENTITY),
    organization: text(members.org, LONGEST_IDENTITY),
    scope: has("scope") ? scopeOf(members.scope) : "",
    jti: text(members.jti, LONGEST_IDENTITY),
    issuedAt: integer("iat"),
    expiresAt: integer("exp"),
    rev: revOf(!inexact.has("rev") && members.rev),
    kid,
  };
  if (has("nbf")) claims.notBefore = integer("nbf");
  const status = has("status") && statusOf(members.status, inexact.has("status"));
  if (status) claims.status = status;
  return claims;
}

/** The value, unless it is false or undefined. */
function demand<T>(value: T | false | undefined): T {
  if (value === false || value === undefined) throw new TokenRefusedError("claims_invalid");
  return value;
}

/** A string without control characters, which goes into headers and logs. */
function text(value: unknown, longest: number): string {
  const good = typeof value === "string" && value !== "" && Buffer.byteLength(value) <= longest;
  return demand(good && !/\p{Control}/u.test(value) && value);
}

function audienceOf(value: unknown): string[] {
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return demand(all.length > 0 && all.map((each) => text(each, LONGEST_REFERENCE)));
}

/** Empty, or scope-tokens with single spaces between (RFC 6749 section 3.3). */
function scopeOf(value: unknown): string {
  return demand(typeof value === "string" && /^([!#-[\]-~]+( [!#-[\]-~]+)*)?$/.test(value) && value);
}

function revOf(value: unknown): Claims["rev"] {
  const good =
    Array.isArray(value) && value.length === 3 && value.every((each) => typeof each === "number" && each >= 0);
  return demand(good && (value as Claims["rev"]));
}

/** Other mechanisms than a list may stand there. */
function statusOf(value: unknown, inexact: boolean): StatusReference | undefined {
  const status = demand(isObject(value) && value);
  if (!Object.hasOwn(status, "status_list")) return undefined;
  const { idx, uri } = demand(isObject(status.status_list) && status.status_list);
  const index = demand(!inexact && typeof idx === "number" && Number.isSafeInteger(idx) && idx >= 0 && idx);
  return { uri: text(uri, LONGEST_REFERENCE), index };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
