import { createPublicKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { fromEnvironment } from "../../src/credentials-file.js";
import { ConfigError } from "../../src/error.js";
import { assertionKeyOf, keyIdOf } from "../../src/private-key.js";
import { TokenSource } from "../../src/token-source.js";
import { FakeClock } from "../support/clock.js";
import { type Asked, goodToken, scripted } from "../support/fetch.js";
import { privateKey, vectors } from "../support/vectors.js";

interface Case {
  name: string;
  env: Record<string, string>;
  files?: Record<string, string>;
  expect?: { url: string; clientId: string; clientSecret?: string; algorithm?: string; keyId?: string };
  problem?: string[];
}

describe("credentials.json", () => {
  test.each(vectors<{ cases: Case[] }>("credentials").cases)("$name", async (row) => {
    const folder = mkdtempSync(join(tmpdir(), "agentidp-vectors-"));
    try {
      for (const [name, content] of Object.entries(row.files ?? {})) {
        writeFileSync(join(folder, name), content.startsWith("@") ? privateKey(content.slice(1)) : content);
      }
      const paths = ([name, value]: [string, string]) => [name, name.endsWith("_FILE") ? join(folder, value) : value];
      const environment = Object.fromEntries(Object.entries(row.env).map(paths));
      if (row.expect) {
        const { url, clientId, clientSecret, privateKey, keyId } = fromEnvironment(environment);
        const key = privateKey && assertionKeyOf(privateKey);
        const proof = key ? { algorithm: key.alg, keyId: keyId ?? (await keyIdOf(key)) } : { clientSecret };
        expect({ url, clientId, ...proof }).toEqual(row.expect);
        return;
      }
      const error = thrown(() => fromEnvironment(environment));
      expect(error).toBeInstanceOf(ConfigError);
      for (const name of row.problem ?? []) expect((error as Error).message).toContain(name);
      expect(`${error} ${(error as Error).cause}`).not.toContain("aidp_sk_1");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

interface AssertionCase {
  name: string;
  key: string;
  keyId: string | null;
  url: string;
  clientId: string;
  header: object;
  claims: object;
}

const assertions = vectors<{ now: number; assertionType: string; cases: AssertionCase[]; refusedKeys: string[] }>(
  "client-assertion",
);

describe("client-assertion.json", () => {
  test.each(assertions.cases)("$name", async (row) => {
    const asked: Asked[] = [];
    const fetch = scripted((one) => {
      asked.push(one);
      return goodToken();
    });
    const { url, clientId } = row;
    const config = { url, clientId, privateKey: privateKey(row.key), keyId: row.keyId ?? undefined, fetch };
    const source = new TokenSource(config, new FakeClock(assertions.now));
    const seen = new Set<unknown>();
    for (let i = 0; i < 2; i++) {
      await source.token();
      source.forget();
      const { headers, form } = asked[i] as Asked;
      const assertion = form.get("client_assertion") ?? "";
      expect(form.get("client_assertion_type")).toBe(assertions.assertionType);
      expect([headers.get("authorization"), form.get("client_id")]).toEqual([null, null]);
      await jwtVerify(assertion, createPublicKey(privateKey(row.key)), {
        currentDate: new Date(assertions.now * 1000),
      });
      expect(decodeProtectedHeader(assertion)).toEqual(row.header);
      const { jti = "", ...claims } = decodeJwt(assertion);
      expect(claims).toEqual(row.claims);
      expect(jti).toMatch(/^.{16,128}$/);
      seen.add(jti);
    }
    expect(seen.size).toBe(2);
  });

  test.each(assertions.refusedKeys)("the key %s is refused", (name) => {
    const config = { url: "https://idp.example.com", clientId: "c", privateKey: privateKey(name) };
    expect(() => new TokenSource(config)).toThrow(ConfigError);
  });
});

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}
