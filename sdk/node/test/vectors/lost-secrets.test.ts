import { describe, expect, test } from "vitest";
import { Client } from "../../src/client.js";
import { RefusedError, SecretLostError } from "../../src/error.js";
import { FakeClock } from "../support/clock.js";
import { goodToken, responseTo, type ScriptedAnswer, scripted } from "../support/fetch.js";
import { vectors } from "../support/vectors.js";

interface Case {
  name: string;
  overlapSeconds: number;
  answers: ScriptedAnswer[];
  attempts: number;
  result: "success" | "refused" | "secret_lost";
  status?: number;
  code?: string;
  credentialId?: string;
}

describe("lost-secrets.json", () => {
  test.each(vectors<{ cases: Case[] }>("lost-secrets").cases)("$name", async (row) => {
    const clock = new FakeClock();
    const began = clock.now().wall;
    const keys = new Set<string | null>();
    let attempts = 0;
    const fetch = scripted(({ url, headers }) => {
      if (url.endsWith("/api/v1/token")) return goodToken();
      keys.add(headers.get("idempotency-key"));
      clock.set(attempts); // each attempt takes a second
      return responseTo("rotate", row.answers[attempts++]);
    });
    const client = new Client({ url: "https://idp.example.com", clientId: "id", clientSecret: "s", fetch }, clock);
    const { overlapSeconds } = row;
    const result = await client.credentials.rotate("a", "c", { overlapSeconds }).catch((error: unknown) => error);
    expect(attempts).toBe(row.attempts);
    expect([...keys]).toEqual([expect.stringMatching(/.+/)]);
    if (row.result === "success") expect(result).toMatchObject({ clientSecret: "aidp_sk_2" });
    if (row.result === "refused") {
      expect(result).toBeInstanceOf(RefusedError);
      expect(result).toMatchObject({ status: row.status, code: row.code });
    }
    if (row.result === "secret_lost") {
      expect(result).toBeInstanceOf(SecretLostError);
      const { credentialId, oldSecretUntil, cause, message } = result as SecretLostError;
      expect(credentialId).toBe(row.credentialId);
      expect(oldSecretUntil.getTime()).toBeGreaterThanOrEqual(began + overlapSeconds * 1000);
      expect(oldSecretUntil.getTime()).toBeLessThanOrEqual(clock.now().wall + overlapSeconds * 1000);
      expect(cause).toMatchObject({ status: 409, details: { credentialId } });
      expect(message).toContain(oldSecretUntil.toISOString());
      expect(message).toContain("ends at once when the credential is rotated again");
    }
  });
});
