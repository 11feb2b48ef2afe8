import { TokenRefusedError } from "./refusals.js";
import { readObject } from "./strict-json.js";

/** The longest token that is looked at, in bytes. */
export const LONGEST_TOKEN = 8 << 10;
const LARGEST_HEADER = 2 << 10;
const LONGEST_KEY_ID = 128;

/** The parts of a JWS in compact serialization (RFC 7515 section 7.1), of which its header has been judged. */
export interface Compact {
  kid: string;
  claims: Buffer;
}

/**
 * Cuts a token and judges its header before any key is looked up: one token has one spelling, the algorithm is never
 * chosen by it, a key never comes from it, and nothing in it is fetched (RFC 8725 sections 3.1, 3.10).
 * @throws TokenRefusedError
 */
export function split(token: string, typ: string, longest = LONGEST_TOKEN): Compact {
  if (token.length > longest) throw new TokenRefusedError("oversize");
  const segments = token.split(".", 4);
  const [header, claims, signature] = segments;
  if (segments.length !== 3 || !header || claims === undefined || !signature) throw new TokenRefusedError("malformed");
  if (header.length > (LARGEST_HEADER * 4) / 3) throw new TokenRefusedError("oversize");
  const [head, body] = [decode(header), decode(claims)];
  if (!head || !body || !decode(signature)) throw new TokenRefusedError("malformed");
  return { kid: judge(head, typ), claims: body };
}

function judge(head: Buffer, typ: string): string {
  const members = readObject(head)?.members;
  if (!members) throw new TokenRefusedError("malformed");
  if (members.alg !== "RS256") throw new TokenRefusedError("algorithm");
  for (const name of ["crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"]) {
    if (Object.hasOwn(members, name)) throw new TokenRefusedError("critical_header");
  }
  if (!isType(members.typ, typ)) throw new TokenRefusedError("type_mismatch");
  const kid = members.kid;
  if (typeof kid !== "string" || kid === "" || Buffer.byteLength(kid) > LONGEST_KEY_ID) {
    throw new TokenRefusedError("malformed");
  }
  return kid;
}

/** Media types are the same in any case, and with or without `application/` (RFC 7515 section 4.1.9). */
function isType(got: unknown, want: string): boolean {
  return (
    typeof got === "string" && /^[!-~]*$/.test(got) && got.toLowerCase().replace(/^application\/(?=.)/, "") === want
  );
}

/** The bytes of the one unpadded base64url spelling; `undefined` for any other. */
export function decode(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, "base64url");
  return bytes.toString("base64url") === segment ? bytes : undefined;
}
