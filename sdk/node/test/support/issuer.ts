import { deflateSync } from "node:zlib";
import { importPKCS8, SignJWT } from "jose";
import { privateKey, vectors } from "./vectors.js";

export const issuer = "https://idp.example.com";

const { documents } = vectors<{ documents: { name: string; body: string; usable: string[] | null }[] }>("jwks");

/** A key set of the vectors. */
export function keySet(name: string): string {
  return documents.find((each) => each.name === name)?.body ?? "";
}

/** The id of a key of the vectors. */
export function kidOf(name: "a" | "b"): string {
  return documents.find((each) => each.name === name)?.usable?.[0] ?? "";
}

/** A status list that the issuer signs with one of its keys. */
export async function statusList(
  list: { uri: string; revoked: boolean; exp: number; ttl?: number },
  key: "a" | "b" = "a",
): Promise<string> {
  const lst = deflateSync(Buffer.from([list.revoked ? 1 : 0])).toString("base64url");
  const { exp, ttl } = list;
  return new SignJWT({ sub: list.uri, exp, ...(ttl && { ttl }), status_list: { bits: 1, lst } })
    .setProtectedHeader({ alg: "RS256", typ: "statuslist+jwt", kid: kidOf(key) })
    .sign(await importPKCS8(privateKey(key), "RS256"));
}
