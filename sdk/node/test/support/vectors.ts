import { readFileSync } from "node:fs";

/** A file of the vectors that all SDKs share (sdk/testdata). */
export function vectors<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../../../testdata/${file}.json`, import.meta.url), "utf8")) as T;
}

export const keys = vectors<{ privateKeys: Record<string, string> }>("keys").privateKeys;

/** A private key of the vectors. */
export function privateKey(name: string): string {
  const pem = keys[name];
  if (pem === undefined) throw new Error(`no key ${name}`);
  return pem;
}

/** The body with as many spaces behind it as it takes. */
export function padded(body: string, to = 0): string {
  return body.padEnd(to, " ");
}
