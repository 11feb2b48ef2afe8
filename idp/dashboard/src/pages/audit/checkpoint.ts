import { answer, api } from "../../api/client";
import { Problem } from "../../api/problem";
import { type Memory, recall, remember } from "./memory";
import { checkConsistency, fromBase64, Refuted } from "./merkle";
import { type Checkpoint, checkSignature, parseCheckpoint, parseVerifier } from "./note";

// Anchor is a checkpoint and how far this browser could check it.
export type Anchor = {
  checkpoint: Checkpoint;
  signature: { by: string } | { unchecked: string }; // the verifier key, or why not
  since: { at: string; size: number } | undefined; // the checkpoint that it was proven to extend; none: it is the first seen here
};

// latestAnchor fetches the latest checkpoint and checks it: its signature, and
// that it extends the one that this browser saw last. It throws Refuted when
// either fails, and remembers the checkpoint when both hold.
export async function latestAnchor(signal?: AbortSignal): Promise<Anchor> {
  const before = recall(); // first: another check may put a later one there meanwhile
  const note = await answer(api.GET("/api/v1/audit/checkpoint", { parseAs: "text", ...(signal && { signal }) }));
  return anchorOf(String(note), before, signal);
}

export async function anchorOf(note: string, before: Memory | undefined, signal?: AbortSignal): Promise<Anchor> {
  if (!crypto.subtle)
    throw new Error("this page was not loaded over https or from localhost: the browser lends it no cryptography");
  const checkpoint = parseCheckpoint(note);
  const verifierKey = await logKey(signal);
  if (before?.verifierKey && verifierKey.key && before.verifierKey !== verifierKey.key)
    throw new Refuted("the IdP shows another key of the log than when this browser looked last");
  const signature = await signatureOf(checkpoint, verifierKey);
  const since = before && (await extendsMemory(checkpoint, before, signal));
  const latest = recall();
  if (!latest || parseCheckpoint(latest.note).size <= checkpoint.size)
    remember({ note, verifierKey: verifierKey.key ?? before?.verifierKey, at: new Date().toISOString() });
  return { checkpoint, signature, since };
}

type LogKey = { key: string; why?: undefined } | { key?: undefined; why: string };

async function logKey(signal?: AbortSignal): Promise<LogKey> {
  try {
    return { key: (await answer(api.GET("/api/v1/keys", signal ? { signal } : {}))).verifierKey };
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 403) throw error;
    return { why: "your credential may not read the log's key (capability keys:read)" };
  }
}

async function signatureOf(checkpoint: Checkpoint, { key, why }: LogKey): Promise<Anchor["signature"]> {
  if (key === undefined) return { unchecked: why };
  const known = await checkSignature(checkpoint, await parseVerifier(key));
  return known ? { by: key } : { unchecked: "this browser knows no Ed25519 signatures" };
}

async function extendsMemory(checkpoint: Checkpoint, before: Memory, signal?: AbortSignal): Promise<Anchor["since"]> {
  const earlier = parseCheckpoint(before.note);
  if (earlier.origin !== checkpoint.origin)
    throw new Refuted(`this is the log ${checkpoint.origin}; this browser knows ${earlier.origin} here`);
  const query = { first: earlier.size, second: checkpoint.size };
  const hashes =
    earlier.size > 0 && earlier.size < checkpoint.size
      ? (await answer(api.GET("/api/v1/audit/proof/consistency", { params: { query }, ...(signal && { signal }) })))
          .hashes
      : [];
  await checkConsistency(earlier, checkpoint, hashes.map(fromBase64));
  return { at: before.at, size: earlier.size };
}
