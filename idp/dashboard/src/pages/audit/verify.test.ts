import { webcrypto } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { session } from "../../session/session";
import { type Sink, saveExport } from "./exporting";
import { records } from "./lines";
import { forget } from "./memory";
import { type Bytes, Refuted } from "./merkle";
import { base64, encode, rootOf, TestLog } from "./testlog";
import { verifyLog } from "./verify";

let log: TestLog;

beforeEach(async () => {
  vi.stubGlobal("crypto", webcrypto);
  log = await TestLog.start(13);
});

afterEach(() => {
  session.signOut();
  forget();
  vi.unstubAllGlobals();
});

const verify = () => verifyLog(() => {}, new AbortController().signal);

test("a whole log verifies, with progress", async () => {
  const seen: number[] = [];
  const verdict = await verifyLog((p) => seen.push(p.done), new AbortController().signal);
  expect(verdict).toMatchObject({ events: 13, hidden: 0 });
  expect(seen.at(-1)).toBe(13);
});

test("others' events are their hashes", async () => {
  const subtree = { subtree: { level: 3, index: 0, hash: base64(await rootOf(log.hashes.slice(0, 8))) } };
  const [header, ...events] = log.export.split("\n");
  log.instead.export = () => [header, JSON.stringify(subtree), ...events.slice(8)].join("\n");
  expect(await verify()).toMatchObject({ events: 5, hidden: 8 });
});

const frauds: [string, (whole: string) => string, RegExp][] = [
  ["an event altered", (w) => w.replace('"sequence":7', '"sequence":8'), /another root/],
  ["an event missing", (w) => w.replace(/\{[^\n]*"sequence":7\}\n/, ""), /has 12 leaves/],
  ["two events changed about", (w) => w.replace(/(\{[^\n]*"sequence":7\}\n)([^\n]*\n)/, "$2$1"), /another root/],
  ["the end missing", (w) => w.slice(0, -1), /breaks off/],
  ["no header", (w) => w.slice(w.indexOf("\n") + 1), /begin with its checkpoint/],
  ["nothing", () => "", /empty/],
];

test.each(frauds)("refuted: %s", async (_, change, says) => {
  const whole = log.export;
  log.instead.export = () => change(whole);
  const error = await verify().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Refuted);
  expect(String(error)).toMatch(says);
});

class Memory implements Sink {
  text = "";
  ended = "";
  async write(chunk: Bytes) {
    this.text += new TextDecoder().decode(chunk);
  }
  async close() {
    this.ended = "closed";
  }
  async abort() {
    this.ended = "aborted";
  }
}

const save = async (format: "ndjson" | "csv", filter = {}, sink: Sink = new Memory()) => {
  const saved = await saveExport(format, filter, sink, () => {}, new AbortController().signal);
  return { ...(sink as Memory), saved };
};

test("an export is saved byte for byte, and its events are counted", async () => {
  expect(await save("ndjson")).toMatchObject({ text: log.export, ended: "closed", saved: { events: 13 } });
  const head = "eventId,sequence,agentId,action,outcome,metadata\r\n";
  const rows = '1,1,"a, b",token.issued,success,"{""x"":""\n""}"\r\n2,2,c,token.refused,denied,\r\n';
  log.instead.export = () => head + rows;
  expect(await save("csv")).toMatchObject({ text: head + rows, ended: "closed", saved: { events: 2 } });
});

test("the API narrows an export as it narrows the list, so the proof stays in the file", async () => {
  const subtree = { subtree: { level: 3, index: 0, hash: base64(await rootOf(log.hashes.slice(0, 8))) } };
  const [header, ...events] = log.export.split("\n");
  const narrowed = [header, JSON.stringify(subtree), ...events.slice(8)].join("\n");
  let asked: URLSearchParams | undefined;
  log.instead.export = (url) => {
    asked = url.searchParams;
    return narrowed;
  };
  const filter = { targetAgentId: "a", agentId: "b", action: "agent.suspended", outcome: "success", q: "x", from: "f" };
  expect(await save("ndjson", filter)).toMatchObject({ text: narrowed, saved: { events: 5 } });
  expect(Object.fromEntries(asked ?? [])).toEqual({ format: "ndjson", ...filter });
});

test("an export that fails half-way, or a full sink, leaves nothing behind", async () => {
  const sink = new Memory();
  sink.write = () => Promise.reject(new Error("disk full"));
  await expect(save("ndjson", {}, sink)).rejects.toThrow("disk full");
  expect(sink.ended).toBe("aborted");
});

test("records come whole however the stream is cut", async () => {
  const text = "one\ntwo\n\nthree";
  for (let size = 1; size <= text.length; size++) {
    const stream = new ReadableStream<Bytes>({
      start(c) {
        for (let i = 0; i < text.length; i += size) c.enqueue(encode(text.slice(i, i + size)));
        c.close();
      },
    });
    const found: string[] = [];
    for await (const batch of records(stream)) found.push(...batch.map((b) => new TextDecoder().decode(b)));
    expect(found).toEqual(["one\n", "two\n", "\n", "three"]);
  }
});
