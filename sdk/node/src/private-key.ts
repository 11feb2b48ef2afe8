import { createPrivateKey, createPublicKey, type JsonWebKey, KeyObject } from "node:crypto";
import { calculateJwkThumbprint, type JWK } from "jose";
import { ConfigError } from "./error.js";

const LEAST_BITS = 2048;
const MOST_BITS = 4096;

/** Signs client assertions (RFC 7523): PEM (PKCS #8, PKCS #1 or SEC 1), a JWK, or what `node:crypto` made of one. */
export type PrivateKey = string | JsonWebKey | KeyObject;

/** A key that can sign client assertions, and how it does. */
export interface AssertionKey {
  key: KeyObject;
  alg: "RS256" | "ES256";
}

/** @throws ConfigError when the key is none, RSA of other than 2,048 to 4,096 bits, or on another curve than P-256. */
export function assertionKeyOf(given: PrivateKey): AssertionKey {
  const key = keyObjectOf(given);
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= LEAST_BITS && modulusLength <= MOST_BITS) {
    return { key, alg: "RS256" };
  }
  if (namedCurve === "prime256v1") return { key, alg: "ES256" };
  throw new ConfigError("the private key must be RSA of 2,048 to 4,096 bits, or on the curve P-256");
}

function keyObjectOf(given: PrivateKey): KeyObject {
  try {
    if (given instanceof KeyObject) return given;
    return createPrivateKey(typeof given === "string" ? given : { key: given, format: "jwk" });
  } catch {
    throw new ConfigError("the private key cannot be read"); // no cause: it may quote the key
  }
}

/** The name of a key that was given none: its thumbprint (RFC 7638). */
export function keyIdOf({ key }: AssertionKey): Promise<string> {
  return calculateJwkThumbprint(createPublicKey(key as unknown as string).export({ format: "jwk" }) as JWK);
}
