import { createPublicKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { covers } from "../../src/capability.js";
import type { Claims } from "../../src/claims.js";
import { parseKeySet } from "../../src/jwks.js";
import { KeySet } from "../../src/key-set.js";
import { TokenRefusedError, UndecidedError } from "../../src/refusals.js";
import { StatusLists } from "../../src/status-list.js";
import { Verifier } from "../../src/verifier.js";
import { FakeClock } from "../support/clock.js";
import { answerOf, refusedConnection, scripted } from "../support/fetch.js";
import { padded, vectors } from "../support/vectors.js";

interface Scope {
  scope: string;
  demanded: string;
  covered: boolean;
}

test.each(vectors<{ cases: Scope[] }>("scopes").cases)(
  "scopes.json: $scope, $demanded",
  ({ scope, demanded, covered }) => {
    expect(covers(scope, demanded)).toBe(covered);
  },
);

interface Document {
  name: string;
  body: string;
  padTo?: number;
  usable: string[] | null;
}

const { documents } = vectors<{ documents: Document[] }>("jwks");

function document(name: string): string {
  const found = documents.find((each) => each.name === name);
  if (!found) throw new Error(`no document ${name}`);
  return padded(found.body, found.padTo);
}

/** What the verifier says of a token: accept, or the reason. */
async function verdict(decision: Promise<unknown>): Promise<string> {
  try {
    await decision;
    return "accept";
  } catch (error) {
    if (error instanceof TokenRefusedError || error instanceof UndecidedError) return error.reason;
    throw error;
  }
}

describe("jwks.json", () => {
  test.each(documents)("$name", async ({ name, usable }) => {
    if (name !== "larger than 256 KiB") {
      const read = parseKeySet(Buffer.from(document(name)));
      expect(read?.map((key) => key.kid).sort() ?? null).toEqual(usable?.sort() ?? null);
    }
    const set = new KeySet(
      "https://idp.example.com/jwks",
      scripted(() => answerOf(200, document(name))),
      new FakeClock(0, true),
    );
    const found = set.find(usable?.[0] ?? "any");
    if (usable) expect(await found).toBeDefined();
    else await expect(found).rejects.toThrow(UndecidedError);
  });
});

interface TokenVectors {
  issuer: string;
  audience: string;
  now: number;
  jwks: string;
  cases: { name: string; token: string; expect: string; claims?: Partial<Claims> }[];
}

describe("tokens.json", () => {
  const { issuer, audience, now, jwks, cases } = vectors<TokenVectors>("tokens");
  const fetch = scripted(() => answerOf(200, document(jwks)));

  test.each(cases)("$name", async ({ token, expect: expected, claims }) => {
    const verifier = new Verifier({ issuer, audience, fetch }, new FakeClock(now, true));
    const verified = verifier.verify(token);
    expect(await verdict(verified)).toBe(expected);
    if (!claims) return;
    const { rev, status, notBefore, issuer: from, ...rest } = await verified;
    expect(rest).toEqual(claims);
    expect([from, rev.length]).toEqual([issuer, 3]);
  });
});

interface Rotations {
  issuer: string;
  audience: string;
  start: number;
  scenarios: { name: string; steps: { at: number; fetch: string; token: string; expect: string; fetches: number }[] }[];
}

describe("jwks-rotations.json", () => {
  const { issuer, audience, start, scenarios } = vectors<Rotations>("jwks-rotations");

  test.each(scenarios)("$name", async ({ steps }) => {
    const clock = new FakeClock(start, true);
    let [answer, fetches] = ["", 0];
    const fetch = scripted(({ url }) => {
      expect(url).toBe(`${issuer}/.well-known/jwks.json`);
      fetches++;
      if (answer === "away") refusedConnection();
      const [, status] = /^status (\d+)$/.exec(answer) ?? [];
      if (status) return answerOf(Number(status), "", { Location: "https://elsewhere.example.com/" });
      return answerOf(200, document(answer));
    });
    const verifier = new Verifier({ issuer, audience, fetch }, clock);
    for (const step of steps) {
      clock.set(step.at);
      answer = step.fetch;
      const before = fetches;
      const said = await verdict(verifier.verify(step.token));
      await verifier.idle();
      expect([said, fetches - before], `at ${step.at}`).toEqual([step.expect, step.fetches]);
    }
  });
});

interface StatusVectors {
  issuer: string;
  jwks: string;
  now: number;
  cases: { name: string; uri: string; index: number; status: number; body: string; expect: string }[];
}

describe("status-lists.json", () => {
  const { issuer, jwks, now, cases } = vectors<StatusVectors>("status-lists");

  test.each(cases)("$name", async ({ uri, index, status, body, expect: expected }) => {
    const clock = new FakeClock(now, true);
    const keys = new KeySet(
      `${issuer}/jwks`,
      scripted(() => answerOf(200, document(jwks))),
      clock,
    );
    const fetch = scripted(({ url }) => {
      expect(url.startsWith(`${issuer}/`)).toBe(true);
      if (status === 0) refusedConnection();
      return answerOf(status, body, { "Content-Type": "application/statuslist+jwt" });
    });
    const revoked = new StatusLists(issuer, keys, fetch, clock).revoked({ uri, index });
    const said = revoked.then((dead) => {
      if (dead) throw new TokenRefusedError("token_revoked");
    });
    expect(await verdict(said)).toBe(expected);
  });
});

test("the keys of the vectors are RSA", () => {
  for (const { n, kid } of parseKeySet(Buffer.from(document("a and b"))) ?? []) {
    const key = createPublicKey({ key: { kty: "RSA", n, e: "AQAB" }, format: "jwk" });
    expect([kid.length, key.asymmetricKeyDetails?.modulusLength]).toEqual([43, 2048]);
  }
});
