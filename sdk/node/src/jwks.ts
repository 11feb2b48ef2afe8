import { decode } from "./compact.js";
import { readObject } from "./strict-json.js";

const LEAST_BITS = 2048;
const MOST_BITS = 4096;
const LONGEST_KEY_ID = 128;

/** A public key that may verify tokens. */
export interface VerificationKey {
  kid: string;
  kty: "RSA";
  n: string;
  e: "AQAB";
}

/**
 * Reads a JWK set (RFC 7517 section 5) and keeps what can verify RS256. Of several keys with one kid only the first
 * counts, even if that one cannot: a later key never takes over a name. `undefined` for a document that is not strict
 * JSON, or has no usable key at all.
 */
export function parseKeySet(document: Uint8Array): VerificationKey[] | undefined {
  const list = readObject(document)?.members.keys;
  if (!Array.isArray(list)) return undefined;
  const named = new Set<unknown>();
  const usable: VerificationKey[] = [];
  for (const entry of list as unknown[]) {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) continue;
    const key = entry as Record<string, unknown>;
    if (canVerify(key) && !named.has(key.kid)) usable.push({ kid: key.kid, kty: "RSA", n: key.n, e: "AQAB" });
    named.add(key.kid);
  }
  return usable.length > 0 ? usable : undefined;
}

function canVerify(key: Record<string, unknown>): key is Record<string, unknown> & VerificationKey {
  const has = (name: string) => Object.hasOwn(key, name);
  if (["d", "p", "q", "dp", "dq", "qi", "oth", "k"].some(has)) return false;
  if (key.kty !== "RSA" || key.e !== "AQAB") return false;
  if (has("use") && key.use !== "sig") return false;
  if (has("alg") && key.alg !== "RS256") return false;
  const operations = key.key_ops;
  if (has("key_ops") && !(Array.isArray(operations) && operations.includes("verify"))) return false;
  const { kid, n } = key;
  if (typeof kid !== "string" || kid === "" || Buffer.byteLength(kid) > LONGEST_KEY_ID) return false;
  return typeof n === "string" && goodModulus(decode(n));
}

function goodModulus(modulus: Buffer | undefined): boolean {
  const [first = 0, last = 0] = [modulus?.[0], modulus?.at(-1)];
  if (!modulus || first === 0 || last % 2 === 0) return false;
  const bits = modulus.length * 8 - Math.clz32(first) + 24;
  return bits >= LEAST_BITS && bits <= MOST_BITS;
}
