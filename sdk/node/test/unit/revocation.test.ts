import { expect, test } from "vitest";
import { Client } from "../../src/client.js";
import { KeySet } from "../../src/key-set.js";
import { StatusLists } from "../../src/status-list.js";
import { Verifier } from "../../src/verifier.js";
import { FakeClock } from "../support/clock.js";
import { type Asked, answerOf, goodToken, hanging, refusedConnection, scripted } from "../support/fetch.js";
import { issuer, keySet, statusList } from "../support/issuer.js";
import { vectors } from "../support/vectors.js";

const start = 1_793_606_400;
const uri = `${issuer}/statuslists/0`;

/** Status lists whose fetches are answered when the test says so. */
function world(clock: FakeClock, jwks = () => keySet("a")) {
  const asked: { url: string; answer(answer: Response | Error): void }[] = [];
  const sets: string[] = [];
  const fetch = scripted(({ url }) => {
    if (url.endsWith("/jwks.json")) {
      sets.push(url);
      return answerOf(200, jwks());
    }
    return new Promise((resolve, reject) => {
      const answer = (said: Response | Error) => (said instanceof Error ? reject(said) : resolve(said));
      asked.push({ url, answer });
    });
  });
  const lists = new StatusLists(issuer, new KeySet(`${issuer}/jwks.json`, fetch, clock), fetch, clock);
  const check = (at = uri) => lists.revoked({ uri: at, index: 0 });
  return { asked, sets, lists, check };
}

async function held(clock: FakeClock, life = 3600) {
  const made = world(clock);
  const list = async (revoked: boolean) =>
    answerOf(200, await statusList({ uri, revoked, exp: start + life, ttl: 15 }));
  const first = made.check();
  made.asked[0]?.answer(await list(false));
  expect(await first).toBe(false);
  return { ...made, list };
}

test("a list that is held answers at once while the IdP hangs, and one fetch goes on behind", async () => {
  const clock = new FakeClock(start, true);
  const { asked, lists, check, list } = await held(clock);
  clock.set(14);
  expect(await check()).toBe(false);
  expect(asked).toHaveLength(1);
  clock.set(15);
  expect(await Promise.all([check(), check(), check()])).toEqual([false, false, false]);
  expect(asked).toHaveLength(2);
  clock.set(100); // long after its second time to live: the fetch hangs for more than three seconds
  expect(await check()).toBe(false);
  expect(asked).toHaveLength(2);
  asked[1]?.answer(await list(true));
  await lists.idle();
  expect(await check()).toBe(true);
});

test("a list that nobody asked for during two times to live is waited for", async () => {
  const clock = new FakeClock(start, true);
  const { asked, check, list } = await held(clock);
  clock.set(30);
  const waiting = [check(), check()];
  expect(asked).toHaveLength(2);
  asked[1]?.answer(await list(true));
  expect(await Promise.all(waiting)).toEqual([true, true]);
});

test("who does not wait learns nothing: the older list counts while the IdP is away, not because a caller is in a hurry", async () => {
  const clock = new FakeClock(start, true);
  const { asked, lists, check, list } = await held(clock);
  clock.set(30);
  const gone = new AbortController();
  const late = new Promise((_, reject) => gone.signal.addEventListener("abort", () => reject(gone.signal.reason)));
  let verdict: boolean | undefined;
  const abandoned = check().then((said) => {
    verdict = said;
  });
  const hurried = Promise.race([abandoned, late]);
  gone.abort(new DOMException("late", "TimeoutError"));
  await expect(hurried).rejects.toMatchObject({ name: "TimeoutError" });
  expect(verdict, "none yet").toBeUndefined();
  asked[1]?.answer(await list(true));
  await lists.idle();
  await abandoned;
  expect(verdict).toBe(true);
  expect(asked).toHaveLength(2);
});

test("the wait ends when the fetch is three seconds old", async () => {
  const clock = new FakeClock(start, true);
  const { asked, check } = await held(clock);
  clock.waits = false;
  clock.set(30);
  expect(await check()).toBe(false);
  expect(clock.pauses).toEqual([3]);
  clock.set(32);
  expect(await check()).toBe(false);
  expect(clock.pauses).toEqual([3, 1]);
  expect(asked).toHaveLength(2);
  await expect(check(`${issuer}/statuslists/1`)).rejects.toMatchObject({ reason: "revocations_stale" });
});

test("a list counts until it expires when fetches fail, which begin a second apart", async () => {
  const clock = new FakeClock(start, true);
  const { asked, lists, check, list } = await held(clock, 60);
  const fails = async (at: number, fetches: number) => {
    clock.set(at);
    expect(await check()).toBe(false);
    expect(asked).toHaveLength(fetches);
    asked.at(-1)?.answer(new TypeError("fetch failed"));
    await lists.idle();
  };
  await fails(15, 2);
  await fails(15.9, 2);
  await fails(16, 3);
  await fails(30, 4); // the issuer is away: nobody waits
  clock.set(45); // perhaps it is back
  const waiting = check();
  asked.at(-1)?.answer(await list(true));
  expect(await waiting).toBe(true);
  expect(asked).toHaveLength(5);
  clock.set(60);
  const late = check();
  asked.at(-1)?.answer(answerOf(503, ""));
  await expect(late).rejects.toMatchObject({ reason: "revocations_stale" });
  expect(asked).toHaveLength(6);
  await expect(check(), "no sooner than in a second").rejects.toMatchObject({ reason: "revocations_stale" });
  expect(asked).toHaveLength(6);
});

test("nothing is fetched for a token without a place in a list of the issuer", async () => {
  const { asked, check, lists } = world(new FakeClock(start, true));
  for (const elsewhere of ["https://elsewhere.example/statuslists/0", `${issuer}.example/statuslists/0`]) {
    await expect(check(elsewhere)).rejects.toMatchObject({ reason: "revocations_stale" });
  }
  await expect(lists.revoked(undefined)).rejects.toMatchObject({ reason: "revocations_stale" });
  expect(asked).toEqual([]);
});

test("what is no list, or has expired, takes no good one's place", async () => {
  const clock = new FakeClock(start, true);
  const { asked, lists, check } = await held(clock);
  const useless = [
    await statusList({ uri, revoked: true, exp: start + 15, ttl: 15 }),
    (await statusList({ uri, revoked: true, exp: start + 3600, ttl: 15 })) + " ".repeat(512 << 10),
  ];
  for (const [n, body] of useless.entries()) {
    clock.set(15 + n);
    expect(await check()).toBe(false);
    asked.at(-1)?.answer(answerOf(200, body));
    await lists.idle();
    expect(await check(), "the one at hand").toBe(false);
    expect(asked).toHaveLength(2 + n);
  }
});

test("a list that names no time to live has fifteen seconds, and none has less than one", async () => {
  for (const [ttl, life] of [
    [undefined, 15],
    [0.1, 1],
  ] as const) {
    const clock = new FakeClock(start, true);
    const { asked, lists, check } = world(clock);
    const list = { uri, revoked: false, exp: start + 3600, ...(ttl && { ttl }) };
    const first = check();
    asked[0]?.answer(answerOf(200, await statusList(list)));
    expect(await first).toBe(false);
    clock.set(life - 0.1);
    expect(await check()).toBe(false);
    expect(asked).toHaveLength(1);
    clock.set(life);
    expect(await check()).toBe(false);
    expect(asked).toHaveLength(2);
    asked[1]?.answer(new TypeError("fetch failed"));
    await lists.idle();
  }
});

test("sixty-four lists are kept, those that were used last", async () => {
  const { asked, check } = world(new FakeClock(start, true));
  const uriOf = (n: number) => `${issuer}/statuslists/${n}`;
  const brought = async (n: number) => {
    const fetches = asked.length;
    const answer = check(uriOf(n));
    if (asked.length > fetches) {
      asked.at(-1)?.answer(answerOf(200, await statusList({ uri: uriOf(n), revoked: false, exp: start + 3600 })));
    }
    expect(await answer).toBe(false);
    return asked.length > fetches;
  };
  for (let n = 0; n < 64; n++) expect(await brought(n)).toBe(true);
  expect(await brought(0), "used again").toBe(false);
  expect(await brought(64)).toBe(true);
  expect(await brought(0), "still there").toBe(false);
  expect(await brought(1), "gone").toBe(true);
});

test("eight fetches behind requests at most", async () => {
  const clock = new FakeClock(start, true);
  const { asked, lists, check } = world(clock);
  const uris = Array.from({ length: 9 }, (_, n) => `${issuer}/statuslists/${n}`);
  for (const [n, each] of uris.entries()) {
    const first = check(each);
    const list = { uri: each, revoked: false, exp: start + 3600, ttl: 15 };
    asked[n]?.answer(answerOf(200, await statusList(list)));
    expect(await first).toBe(false);
  }
  clock.set(15);
  for (const each of uris) expect(await check(each)).toBe(false);
  expect(asked.slice(9).map((each) => each.url)).toEqual(uris.slice(0, 8));
  for (const each of asked.slice(9)) each.answer(new TypeError("fetch failed"));
  await lists.idle();
  expect(await check(uris[8])).toBe(false);
  expect(asked).toHaveLength(18);
});

test("a list signed with an unknown key fetches the key set once, not sooner than it may", async () => {
  const clock = new FakeClock(start, true);
  let jwks = "a";
  const { asked, sets, lists, check, list } = {
    ...world(clock, () => keySet(jwks)),
    list: async (key: "a" | "b") =>
      answerOf(200, await statusList({ uri, revoked: false, exp: start + 3600, ttl: 1 }, key)),
  };
  const first = check();
  asked[0]?.answer(await list("a"));
  expect(await first).toBe(false);
  jwks = "a and b";
  clock.set(9); // the set was fetched nine seconds ago
  const early = check();
  asked[1]?.answer(await list("b"));
  expect(await early, "the last good one").toBe(false);
  expect(sets).toHaveLength(1);
  clock.set(3599);
  const later = check();
  asked[2]?.answer(await list("b"));
  expect(await later).toBe(false);
  await lists.idle();
  expect(sets).toHaveLength(2);
  clock.set(3599.5);
  expect(await check(), "the new one").toBe(false);
  expect(asked).toHaveLength(3);
});

test("introspection has two seconds, and lets nobody in without an answer", async () => {
  const { audience, now, cases } = vectors<{ audience: string; now: number; cases: { name: string; token: string }[] }>(
    "tokens",
  );
  const token = cases.find((each) => each.name === "as the IdP makes it")?.token ?? "";
  const clock = new FakeClock(now, true);
  let introspect: (asked: Asked) => Response | Promise<Response> = hanging;
  const fetch = scripted((asked) => {
    if (asked.url.endsWith("/token")) return goodToken();
    return asked.url.endsWith("/introspect") ? introspect(asked) : answerOf(200, keySet("a and b"));
  });
  const client = new Client({ url: issuer, clientId: "c", clientSecret: "s", fetch }, new FakeClock(now));
  const verifier = new Verifier({ issuer, audience, revocation: client, fetch }, clock);
  const late = verifier.verify(token);
  await expect.poll(() => clock.deadlines.length, { timeout: 10_000 }).toBe(1);
  expect(clock.deadlines[0]?.after).toBe(2);
  clock.deadlines[0]?.pass();
  await expect(late).rejects.toMatchObject({ reason: "revocations_stale", status: 503 });
  introspect = refusedConnection;
  await expect(verifier.verify(token)).rejects.toMatchObject({ reason: "revocations_stale" });
  introspect = () => answerOf(200, '{"active":"yes"}');
  await expect(verifier.verify(token)).rejects.toMatchObject({ reason: "token_revoked" });
  introspect = () => answerOf(200, '{"active":true}');
  expect((await verifier.verify(token)).issuer).toBe(issuer);
});
