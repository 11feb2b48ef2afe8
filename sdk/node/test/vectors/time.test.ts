import { describe, expect, test } from "vitest";
import { Client } from "../../src/client.js";
import { ConnectionError, InvalidAnswerError, RefusedError } from "../../src/error.js";
import { TokenSource } from "../../src/token-source.js";
import { FakeClock } from "../support/clock.js";
import { answerOf, goodToken, responseTo, type ScriptedAnswer, scripted } from "../support/fetch.js";
import { vectors } from "../support/vectors.js";

const credential = { url: "https://idp.example.com", clientId: "c", clientSecret: "s" };

interface RetryCase {
  name: string;
  operation: "token" | "get" | "post" | "patch" | "delete" | "introspect";
  answers: ScriptedAnswer[];
  attempts: number;
  pauses: [number, number][];
  result: "success" | "refused" | "connection" | "invalid_answer";
  status?: number;
  code?: string;
  tokens?: number;
}

const agent = {
  email: "a@example.com",
  agentType: "custom",
  version: "1.0.0",
  owner: "o",
  deploymentEnv: "development",
  capabilities: [],
} as const;

const operations: Record<Exclude<RetryCase["operation"], "token">, (client: Client) => Promise<unknown>> = {
  get: (client) => client.agents.get("a"),
  post: (client) => client.agents.create({ ...agent, capabilities: [] }),
  patch: (client) => client.agents.update("a", { owner: "o" }),
  delete: (client) => client.agents.decommission("a"),
  introspect: (client) => client.tokens.introspect("t"),
};

describe("retries.json", () => {
  test.each(vectors<{ cases: RetryCase[] }>("retries").cases)("$operation: $name", async (row) => {
    const clock = new FakeClock();
    const keys: (string | null)[] = [];
    let [attempts, tokens] = [0, 0];
    const fetch = scripted(({ url, headers }) => {
      if (row.operation !== "token" && url.endsWith("/api/v1/token")) {
        tokens++;
        return goodToken();
      }
      keys.push(headers.get("idempotency-key"));
      return responseTo(row.operation, row.answers[attempts++]);
    });
    const config = { ...credential, fetch };
    const result = await (row.operation === "token"
      ? new TokenSource(config, clock).token()
      : operations[row.operation](new Client(config, clock))
    ).then(
      () => "success",
      (error: unknown) => error,
    );
    expect(attempts).toBe(row.attempts);
    if (row.result === "success") expect(result).toBe("success");
    if (row.result === "connection") expect(result).toBeInstanceOf(ConnectionError);
    if (row.result === "invalid_answer") expect(result).toBeInstanceOf(InvalidAnswerError);
    if (row.result === "refused") {
      expect(result).toBeInstanceOf(RefusedError);
      expect(result).toMatchObject({ status: row.status, code: row.code });
    }
    expect(clock.pauses).toHaveLength(row.pauses.length);
    for (const [i, [least, most]] of row.pauses.entries()) {
      expect(clock.pauses[i]).toBeGreaterThanOrEqual(least);
      expect(clock.pauses[i]).toBeLessThanOrEqual(most);
    }
    if (row.tokens !== undefined) expect(tokens).toBe(row.tokens);
    if (row.operation === "post") {
      expect(keys[0]).toMatch(/.+/);
      expect(new Set(keys).size).toBe(1);
    }
  });
});

interface Scenario {
  name: string;
  expiresIn: number;
  steps: { at: number; answer: "good" | "suspended"; expect: "new" | "cached" | "ahead" | "error" }[];
}

describe("refresh.json", () => {
  test.each(vectors<{ scenarios: Scenario[] }>("refresh").scenarios)("$name", async ({ expiresIn, steps }) => {
    const clock = new FakeClock();
    const issued: string[] = [];
    let [requests, answer] = [0, "good"];
    const fetch = scripted(async () => {
      requests++;
      if (answer === "suspended") return answerOf(400, '{"error":"unauthorized_client"}');
      const token = goodToken(expiresIn);
      issued.push(((await token.clone().json()) as { access_token: string }).access_token);
      return token;
    });
    const source = new TokenSource({ ...credential, fetch }, clock);
    for (const step of steps) {
      clock.set(step.at);
      answer = step.answer;
      const [before, newest] = [requests, issued.at(-1)];
      const result = await source.accessToken().catch((error: unknown) => error);
      await source.idle();
      const what = `at ${step.at}`;
      expect(requests - before, what).toBe(step.expect === "cached" ? 0 : 1);
      if (step.expect === "error") expect(result, what).toBeInstanceOf(RefusedError);
      if (step.expect === "new") expect(result, what).toBe(issued.at(-1));
      if (step.expect === "cached" || step.expect === "ahead") expect(result, what).toBe(newest);
    }
  });
});
