import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import type { Clock } from "./clock.js";
import { baseOf, type Config } from "./config.js";
import { assertionKeyOf, keyIdOf } from "./private-key.js";

const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ASSERTION_LIFE = 60; // seconds; the IdP takes no more than 300

/** How a client proves itself at the token endpoint: fields of the head and of the form. */
export interface Proof {
  headers: Record<string, string>;
  form: Record<string, string>;
}

/** Makes the proof for one request: an assertion is good for one answer. */
export type Prove = () => Promise<Proof>;

/** Reads the credential of a configuration that has been validated. */
export function proverOf(config: Config, clock: Clock): Prove {
  const { clientId = "", clientSecret = "", privateKey } = config;
  if (privateKey === undefined) {
    // RFC 6749 section 2.3.1: both parts are form-encoded first.
    const basic = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString("base64");
    return async () => ({ headers: { Authorization: `Basic ${basic}` }, form: {} });
  }
  const assertionKey = assertionKeyOf(privateKey);
  return async () => {
    const kid = config.keyId ?? (await keyIdOf(assertionKey));
    const now = Math.floor(clock.now().wall / 1000);
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg: assertionKey.alg, typ: "JWT", kid })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(baseOf(config.url)) // the issuer and nothing else
      .setJti(randomUUID())
      .setIssuedAt(now)
      .setExpirationTime(now + ASSERTION_LIFE)
      .sign(assertionKey.key);
    return { headers: {}, form: { client_assertion_type: ASSERTION_TYPE, client_assertion: assertion } };
  };
}

function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
