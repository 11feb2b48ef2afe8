import { createServer } from "node:http";
import { expect, test } from "vitest";
import { since } from "../../src/clock.js";
import { ConnectionError, InvalidAnswerError } from "../../src/error.js";
import { TokenSource } from "../../src/token-source.js";
import { FakeClock } from "../support/clock.js";
import { answerOf, goodToken, scripted } from "../support/fetch.js";

const credential = { url: "https://idp.example.com", clientId: "c:1", clientSecret: "s/&ü" };

/** A token endpoint that answers when it is told to. */
function held() {
  const asked: (() => void)[] = [];
  const fetch = scripted(() => new Promise((resolve) => asked.push(() => resolve(goodToken()))));
  return { asked, fetch };
}

test("what is asked: the form, and the credential form-encoded", async () => {
  const forms: string[] = [];
  const fetch = scripted(({ url, form, headers }) => {
    forms.push(`${url} ${form} ${Buffer.from(headers.get("authorization")?.slice(6) ?? "", "base64")}`);
    return goodToken();
  });
  const resources = ["https://a.example.com", "https://b.example.com"];
  await new TokenSource({ ...credential, resources, scopes: ["notes:read", "notes:write"], fetch }).token();
  expect(forms).toEqual([
    "https://idp.example.com/api/v1/token grant_type=client_credentials&resource=https%3A%2F%2Fa.example.com" +
      "&resource=https%3A%2F%2Fb.example.com&scope=notes%3Aread+notes%3Awrite c%3A1:s%2F%26%C3%BC",
  ]);
});

test("one request however many callers, and an abort ends one wait", async () => {
  const { asked, fetch } = held();
  const source = new TokenSource({ ...credential, fetch });
  const abort = new AbortController();
  const aborted = source.token({ signal: abort.signal }).catch((error: unknown) => error);
  const others = Promise.all(
    Array.from({ length: 50 }, () => source.accessToken({ signal: new AbortController().signal })),
  );
  abort.abort(new Error("enough"));
  expect(await aborted).toEqual(new Error("enough"));
  await expect(source.token({ signal: abort.signal })).rejects.toThrow("enough");
  expect(asked).toHaveLength(1);
  asked[0]?.();
  expect(new Set(await others).size).toBe(1);
});

test("another credential is used from the next request on", async () => {
  const users: string[] = [];
  const fetch = scripted(({ headers }) => {
    users.push(Buffer.from(headers.get("authorization")?.slice(6) ?? "", "base64").toString());
    return goodToken();
  });
  const source = new TokenSource({ url: credential.url, clientId: "c", clientSecret: "old", fetch });
  const token = await source.accessToken();
  source.use({ clientId: "c", clientSecret: "new" });
  expect(await source.accessToken()).toBe(token);
  source.forget();
  await source.token();
  expect(users).toEqual(["c:old", "c:new"]);
});

test("a token that had expired when it came is none", async () => {
  const clock = new FakeClock();
  const fetch = scripted(() => {
    clock.set(2);
    return goodToken(2);
  });
  await expect(new TokenSource({ ...credential, fetch }, clock).token()).rejects.toThrow(InvalidAnswerError);
});

test("an IdP that does not answer: the attempt has its time", async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const clock = new FakeClock();
  const config = { ...credential, url: `http://127.0.0.1:${port}`, timeout: 20 };
  const error = await new TokenSource(config, clock).token().catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ConnectionError);
  expect([(error as ConnectionError).late, clock.pauses.length]).toEqual([true, 3]);
  server.closeAllConnections();
  server.close();
});

test("fetch: another token after a 401, once in ten seconds, and only for a body that is still there", async () => {
  const clock = new FakeClock();
  const sent: string[] = [];
  let [tokens, accepts] = [0, "token"];
  const fetch = scripted(({ url, headers }) => {
    if (url.endsWith("/api/v1/token")) {
      tokens++;
      return Response.json({ access_token: `token ${tokens}`, token_type: "Bearer", expires_in: 3600 });
    }
    const token = headers.get("authorization") ?? "";
    sent.push(`${token} ${headers.get("x-mine")}`);
    return answerOf(token === `Bearer ${accepts}` ? 200 : 401, "");
  });
  const source = new TokenSource({ ...credential, fetch }, clock);
  const call = async (init: RequestInit = {}) => {
    const answer = await source.fetch(new URL("https://api.example.com/"), { headers: { "X-Mine": "1" }, ...init });
    return answer.status;
  };
  accepts = "token 2";
  expect(await call({ method: "POST", body: "text" })).toBe(200);
  expect(sent).toEqual(["Bearer token 1 1", "Bearer token 2 1"]);
  accepts = "none";
  expect([await call(), await call(), tokens]).toEqual([401, 401, 2]);
  clock.set(10);
  expect([await call({ method: "POST", body: new ReadableStream(), duplex: "half" } as RequestInit), tokens]).toEqual([
    401, 2,
  ]);
  accepts = "token 3";
  expect([await call(), tokens]).toEqual([200, 3]);
});

test("fetch: what a Request says is sent, and no redirect is followed", async () => {
  const seen: unknown[] = [];
  const inner = (async (input: Request, init: RequestInit) => {
    seen.push(input.url, init.redirect, new Headers(init.headers).get("x-mine"));
    return goodToken();
  }) as unknown as typeof fetch;
  const source = new TokenSource({ ...credential, fetch: scripted(() => goodToken()) });
  const { authenticatedFetch } = await import("../../src/fetch.js");
  const call = authenticatedFetch(source, inner);
  await call(new Request("https://api.example.com/x", { headers: { "X-Mine": "2" }, redirect: "follow" }));
  await call(new Request("https://api.example.com/y"), { redirect: "error" });
  expect(seen).toEqual(["https://api.example.com/x", "manual", "2", "https://api.example.com/y", "error", null]);
});

test("time passes by the clock that says more", () => {
  const then = { wall: 1000, steady: 1000 };
  expect(since(then, { wall: 500, steady: 1200 })).toBe(200);
  expect(since(then, { wall: 9000, steady: 1200 })).toBe(8000);
});

test("a refresh that failed is tried again after five seconds, not sooner", async () => {
  const clock = new FakeClock();
  let [requests, good] = [0, true];
  const fetch = scripted(() => {
    requests++;
    return good ? goodToken(1000) : answerOf(400, '{"error":"unauthorized_client"}');
  });
  const source = new TokenSource({ ...credential, fetch }, clock);
  const asked = async (at: number) => {
    clock.set(at);
    await source.token();
    await source.idle();
    return requests;
  };
  expect(await asked(0)).toBe(1);
  good = false;
  expect(await asked(900)).toBe(2);
  expect(await asked(904.9)).toBe(2);
  expect(await asked(905)).toBe(3);
});
