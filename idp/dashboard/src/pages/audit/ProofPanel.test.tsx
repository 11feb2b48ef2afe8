import { webcrypto } from "node:crypto";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { session } from "../../session/session";
import { forget, recall } from "./memory";
import { sha256 } from "./merkle";
import { ProofPanel } from "./ProofPanel";
import { base64, idOf, rootOf, TestLog } from "./testlog";

let log: TestLog;

beforeEach(async () => {
  vi.stubGlobal("crypto", webcrypto);
  log = await TestLog.start(11);
});

afterEach(() => {
  session.signOut();
  forget();
  vi.unstubAllGlobals();
});

function open(i: number) {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={client}>
      <ProofPanel eventId={idOf(i)} />
    </QueryClientProvider>,
  );
}

test.each([0, 5, 10])("event %i is proven against the signed checkpoint, which is remembered", async (i) => {
  open(i);
  await screen.findByText("Proven: this event is in the log, unaltered");
  screen.getByText(/Ed25519, good/);
  screen.getByText(/the first checkpoint that this browser sees/);
  expect(recall()?.note).toBe(log.note);
});

const forgeries: [name: string, forge: () => void | Promise<void>, says: RegExp][] = [
  [
    "a sibling of the proof",
    () => {
      log.instead.inclusion = () => JSON.stringify({ hashes: log.hashes.slice(0, 4).map(base64) });
    },
    /another root/,
  ],
  [
    "the event's bytes",
    () => {
      const event = log.events[3] ?? "";
      log.instead[idOf(3)] = () => event.replace("success", "failure");
    },
    /another root/,
  ],
  [
    "the event's place",
    () => {
      const event = log.events[3] ?? "";
      log.instead[idOf(3)] = () => event.replace('"sequence":3', '"sequence":4');
    },
    /another root/,
  ],
  [
    "the checkpoint's root",
    async () => {
      const [origin, size, , ...rest] = log.note.split("\n");
      log.note = [origin, size, base64(await sha256()), ...rest].join("\n");
    },
    /signature of the checkpoint is wrong/,
  ],
  [
    "the checkpoint's signer",
    async () => {
      const { verifierKey } = log;
      await log.sign(11, await sha256());
      log.verifierKey = verifierKey;
    },
    /not signed by the key/,
  ],
  [
    "the verifier key",
    () => {
      log.verifierKey = log.verifierKey.replace(/\+[0-9a-f]{8}\+/, "+00000000+");
    },
    /not the one that its id names/,
  ],
];

test.each(forgeries)("forged: %s", async (_, forge, says) => {
  await forge();
  open(3);
  await screen.findByText("Not proven");
  screen.getByText(says);
  expect(screen.queryByText(/^Proven/)).toBeNull();
});

test("a key or a log other than the one seen before is refuted", async () => {
  open(3);
  await screen.findByText(/^Proven/);
  await log.sign(11, await rootOf(log.hashes));
  cleanup();
  open(4);
  await screen.findByText(/another key of the log than when this browser looked last/);
});

test("an event that no checkpoint covers yet is no failure", async () => {
  await log.sign(4, await rootOf(log.hashes.slice(0, 4)));
  open(7);
  await screen.findByText("Not signed yet");
});
