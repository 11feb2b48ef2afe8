import { expect, test } from "vitest";
import { Client } from "../../src/client.js";
import { ConnectionError, SecretLostError } from "../../src/error.js";
import { rotateCredential } from "../../src/rotation.js";
import { TokenSource } from "../../src/token-source.js";
import { FakeClock } from "../support/clock.js";
import { type Asked, answerOf, hanging, refusedConnection, scripted } from "../support/fetch.js";

const own = `e30.${Buffer.from('{"sub":"a"}').toString("base64url")}.x`;
const config = { url: "https://idp.example.com", clientId: "id", clientSecret: "old" };
const listed = '{"data":[{"credentialId":"c","clientId":"id"}],"total":1}';
const rotated = '{"credentialId":"c","clientId":"id","clientSecret":"new"}';

/** A client whose rotations are answered so, and what they asked. */
function client(answer: (attempt: number, asked: Asked) => Response | Promise<Response>, clock = new FakeClock()) {
  const rotations: Asked[] = [];
  const users: string[] = [];
  const fetch = scripted((asked) => {
    if (asked.url.endsWith("/api/v1/token")) {
      users.push(Buffer.from(asked.headers.get("authorization")?.slice(6) ?? "", "base64").toString());
      return Response.json({ access_token: own, token_type: "Bearer", expires_in: 3600 });
    }
    if (asked.method === "GET") return answerOf(200, listed);
    rotations.push(asked);
    return answer(rotations.length, asked);
  });
  return { rotations, users, fetch, client: new Client({ ...config, fetch }, clock) };
}

test("a lost secret: nothing is rotated again, stored or changed", async () => {
  const made = client((attempt) => {
    if (attempt === 1) refusedConnection();
    return answerOf(409, '{"code":"INVALID_STATE","message":"m","details":{"credentialId":"c"}}');
  });
  const source = new TokenSource({ ...config, fetch: made.fetch }, new FakeClock());
  const stored: unknown[] = [];
  const rotation = { sources: [source], store: (credential: unknown) => void stored.push(credential) };
  const error = await rotateCredential(made.client, rotation).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(SecretLostError);
  expect(error).toMatchObject({ credentialId: "c", oldSecretUntil: new Date((1_793_606_400 + 3600) * 1000) });
  expect([made.rotations.length, stored]).toEqual([2, []]);
  made.users.length = 0;
  made.client.tokenSource.forget();
  await made.client.accessToken();
  await source.token();
  expect(made.users).toEqual(["id:old", "id:old"]);
});

test("part of a second of overlap is a whole one", async () => {
  const { client: one, rotations } = client(() => answerOf(200, rotated));
  for (const overlapSeconds of [0.2, 1, 1.5]) await rotateCredential(one, { overlapSeconds, store: () => {} });
  await one.credentials.rotate("a", "c", { overlapSeconds: 0.001 });
  await one.credentials.rotate("a", "c");
  expect(rotations.map((each) => JSON.parse(each.body).overlapSeconds)).toEqual([1, 1, 2, 1, 0]);
});

test("a call has sixty seconds with all that it waits for", async () => {
  const clock = new FakeClock();
  const { client: one, rotations } = client((_, asked) => hanging(asked), clock);
  const late = one.credentials.rotate("a", "c").catch((error: unknown) => error);
  await expect.poll(() => rotations.length, { timeout: 10_000 }).toBe(1);
  expect(clock.deadlines.map((each) => each.after)).toEqual([60]);
  clock.deadlines[0]?.pass();
  const error = await late;
  expect(error).toBeInstanceOf(ConnectionError);
  expect([(error as ConnectionError).late, rotations.length]).toEqual([true, 1]);
});

test("a token that cannot be replaced after a 401 is not asked for by every attempt", async () => {
  let [tokens, calls] = [0, 0];
  const fetch = scripted(({ url }) => {
    if (!url.endsWith("/api/v1/token")) {
      calls++;
      return answerOf(401, '{"code":"UNAUTHENTICATED","message":"m","details":{}}');
    }
    tokens++;
    if (tokens > 1) return answerOf(503, "");
    return Response.json({ access_token: own, token_type: "Bearer", expires_in: 3600 });
  });
  const one = new Client({ ...config, fetch }, new FakeClock());
  await expect(one.keys.list()).rejects.toMatchObject({ status: 503 });
  expect([tokens, calls]).toEqual([5, 1]);
});
