import { answer, api } from "../../api/client";
import { type Anchor, latestAnchor } from "./checkpoint";
import { type Bytes, equal, fromBase64, leafHash, Refuted, rootOfInclusion } from "./merkle";

export type Proven = {
  anchor: Anchor;
  sequence: number;
  leaf: Bytes;
  hashes: number; // in the proof
};

// Uncovered says that no checkpoint holds the event yet: one is signed every 10 seconds.
export class Uncovered extends Error {}

// proveEvent proves in this browser that the bytes the IdP gives for an event are
// a leaf of the tree that the latest checkpoint names. Of the proof it takes the
// sibling hashes alone: leaf and root come from the bytes and the checkpoint.
export async function proveEvent(eventId: string, signal?: AbortSignal): Promise<Proven> {
  const params = { path: { eventId } };
  const body = await answer(
    api.GET("/api/v1/audit/{eventId}", { params, parseAs: "arrayBuffer", ...(signal && { signal }) }),
  );
  const bytes = new Uint8Array(body as unknown as ArrayBuffer);
  const event = JSON.parse(new TextDecoder().decode(bytes)) as { eventId: string; sequence: number };
  if (event.eventId !== eventId) throw new Refuted("the IdP answered with another event");
  const anchor = await latestAnchor(signal);
  const { checkpoint } = anchor;
  if (event.sequence >= checkpoint.size) throw new Uncovered();
  const query = { leafIndex: event.sequence, treeSize: checkpoint.size };
  const proof = await answer(
    api.GET("/api/v1/audit/proof/inclusion", { params: { query }, ...(signal && { signal }) }),
  );
  const leaf = await leafHash(bytes);
  const root = await rootOfInclusion(event.sequence, checkpoint.size, leaf, proof.hashes.map(fromBase64));
  if (!equal(root, checkpoint.root))
    throw new Refuted("the event's bytes and the proof give another root than the signed checkpoint names");
  return { anchor, sequence: event.sequence, leaf, hashes: proof.hashes.length };
}
