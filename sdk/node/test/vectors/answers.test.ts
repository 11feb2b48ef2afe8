import { describe, expect, test } from "vitest";
import { Client } from "../../src/client.js";
import { InvalidAnswerError, RefusedError } from "../../src/error.js";
import { TokenSource } from "../../src/token-source.js";
import { FakeClock } from "../support/clock.js";
import { answerOf, goodToken, scripted } from "../support/fetch.js";
import { padded, vectors } from "../support/vectors.js";

const credential = { url: "https://idp.example.com", clientId: "c", clientSecret: "s" };

interface TokenCase {
  name: string;
  status: number;
  headers?: Record<string, string>;
  body: string;
  padTo?: number;
  token?: { accessToken: string; expiresIn: number; scope: string };
  error?: { class: "refused" | "invalid_answer"; status: number; code: string; message: string; requestId: string };
}

describe("token-responses.json", () => {
  test.each(vectors<{ cases: TokenCase[] }>("token-responses").cases)("$name", async (row) => {
    const clock = new FakeClock();
    const fetch = scripted(() => answerOf(row.status, padded(row.body, row.padTo), row.headers));
    const answer = new TokenSource({ ...credential, fetch }, clock).token();
    if (row.token) {
      const { accessToken, expiresAt, scope } = await answer;
      const expiresIn = (expiresAt.getTime() - clock.now().wall) / 1000;
      expect({ accessToken, expiresIn, scope }).toEqual(row.token);
      return;
    }
    const error: unknown = await answer.catch((error) => error);
    if (row.error?.class === "invalid_answer") return expect(error).toBeInstanceOf(InvalidAnswerError);
    const { status, code, message, requestId } = row.error ?? {};
    expect(error).toBeInstanceOf(RefusedError);
    expect(error).toMatchObject({ status, code, requestId, message: message || `refused with status ${status}` });
  });
});

interface ErrorCase {
  name: string;
  status: number;
  headers: Record<string, string>;
  body: string;
  error: { message: string; status: number } & Record<string, unknown>;
}

describe("errors.json", () => {
  test.each(vectors<{ cases: ErrorCase[] }>("errors").cases)("$name", async (row) => {
    const fetch = scripted(({ url }) =>
      url.endsWith("/token") ? goodToken() : answerOf(row.status, row.body, row.headers),
    );
    const client = new Client({ ...credential, fetch }, new FakeClock());
    const error = await client.agents.update("a", { owner: "o" }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RefusedError);
    const { status, code, message, details, requestId, retryAfter, temporary } = error as RefusedError;
    const want = { ...row.error, message: row.error.message || `refused with status ${row.status}` };
    expect({ status, code, message, details, requestId, retryAfter, temporary }).toEqual(want);
  });
});
