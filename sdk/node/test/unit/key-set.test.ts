import { expect, test } from "vitest";
import { KeySet } from "../../src/key-set.js";
import { FakeClock } from "../support/clock.js";
import { answerOf, scripted } from "../support/fetch.js";
import { keySet, kidOf } from "../support/issuer.js";

const url = "https://idp.example.com/.well-known/jwks.json";

test("whoever asks for a key at any moment of the fetch that brings it gets it", async () => {
  const clock = new FakeClock(0, true);
  let answer: (response: Response) => void = () => {};
  let first = true;
  const fetch = scripted(() => {
    if (first) return answerOf(200, keySet("a"));
    return new Promise((resolve) => {
      answer = resolve;
    });
  });
  const set = new KeySet(url, fetch, clock);
  await set.find(kidOf("a"));
  first = false;
  clock.set(10);
  const asking = [set.find(kidOf("b"))];
  answer(answerOf(200, keySet("a and b")));
  const landed = set.idle().then(() => true);
  while (!(await Promise.race([landed, new Promise((resolve) => setImmediate(resolve, false))]))) {
    asking.push(set.find(kidOf("b")));
    for (let turn = 0; turn < 50; turn++) {
      await Promise.resolve();
      asking.push(set.find(kidOf("b")));
    }
  }
  asking.push(set.find(kidOf("b")));
  expect((await Promise.all(asking)).filter((key) => key === undefined)).toEqual([]);
});

test("the set at hand is asked for by its ETag, and a 304 confirms it", async () => {
  const clock = new FakeClock(0, true);
  const tags: (string | null)[] = [];
  let answer = () => answerOf(200, keySet("a"), { ETag: '"1"' });
  const fetch = scripted(({ headers }) => {
    tags.push(headers.get("if-none-match"));
    return answer();
  });
  const set = new KeySet(url, fetch, clock);
  const at = async (seconds: number, name: "a" | "b") => {
    clock.set(seconds);
    const found = await set.find(kidOf(name));
    await set.idle();
    return found !== undefined;
  };
  expect(await at(0, "a")).toBe(true);
  answer = () => answerOf(304, "");
  expect(await at(80_000, "a")).toBe(true);
  expect(await at(86_401, "a"), "confirmed at 80000").toBe(true);
  expect(await at(90_000, "b"), "which is a good fetch").toBe(false);
  answer = () => answerOf(200, keySet("a and b"), { ETag: '"2"' });
  expect(await at(90_011, "b"), "and not asked for again").toBe(false);
  expect(tags).toEqual([null, '"1"', '"1"', '"1"']);
  expect(await at(90_331, "b")).toBe(true);
  expect(await at(90_662, "b")).toBe(true);
  expect(tags.slice(4)).toEqual(['"1"', '"2"']);
  answer = () => answerOf(200, keySet("a")); // without a tag
  expect(await at(90_993, "a")).toBe(true);
  expect(await at(91_324, "a")).toBe(true);
  expect(tags.slice(6)).toEqual(['"2"', null]);
});

test("a 304 to a request without a tag is no answer", async () => {
  const set = new KeySet(
    url,
    scripted(() => answerOf(304, "")),
    new FakeClock(0, true),
  );
  await expect(set.find(kidOf("a"))).rejects.toMatchObject({ reason: "keys_stale" });
});

test("a kid that a good fetch did not bring asks for none for five minutes", async () => {
  const clock = new FakeClock(0, true);
  let fetches = 0;
  const fetch = scripted(() => {
    fetches++;
    return answerOf(200, keySet("a"));
  });
  const set = new KeySet(url, fetch, clock);
  const asked = async (at: number) => {
    clock.set(at);
    expect(await set.find("nobody's")).toBeUndefined();
    await set.idle();
    return fetches;
  };
  await set.find(kidOf("a"));
  expect(await asked(10)).toBe(2);
  expect(await asked(309.9)).toBe(2);
  expect(await asked(310)).toBe(3);
});
