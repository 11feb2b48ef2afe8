import { answer, api } from "../../api/client";
import { type Anchor, anchorOf } from "./checkpoint";
import { records } from "./lines";
import { recall } from "./memory";
import { type Bytes, Edge, equal, fromBase64, leafHash, Refuted } from "./merkle";

export type Progress = { done: number; size: number; anchor: Anchor }; // leaves

export type Verdict = {
  anchor: Anchor;
  events: number; // hashed here
  hidden: number; // leaves known by the hash of a subtree: others' events, and what retention took
  organizationId: string | undefined; // whose events; undefined: everybody's
};

type Header = { checkpoint: string; organizationId?: string };

// verifyLog reads the whole log as an export, hashes each event, and holds the
// root that comes out against the export's signed checkpoint, which it checks
// first. It holds one hash for each level of the tree, however long the log is.
export async function verifyLog(onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Verdict> {
  const before = recall();
  const query = { format: "ndjson" as const };
  const stream = await answer(api.GET("/api/v1/audit/export", { params: { query }, parseAs: "stream", signal }));
  const edge = new Edge();
  let [events, anchor, organizationId]: [number, Anchor | undefined, string | undefined] = [0, undefined, undefined];
  for await (const batch of records(stream as unknown as ReadableStream<Bytes>)) {
    for (const leaf of await Promise.all(batch.map(read))) {
      if ("checkpoint" in leaf) {
        if (anchor) throw new Refuted("the export has two headers");
        anchor = await anchorOf(leaf.checkpoint, before, signal);
        organizationId = leaf.organizationId;
      } else {
        await edge.add(leaf.level, leaf.hash);
        if (leaf.event) events++;
      }
    }
    if (!anchor) throw new Refuted("the export does not begin with its checkpoint");
    onProgress({ done: edge.size, size: anchor.checkpoint.size, anchor });
  }
  if (!anchor) throw new Refuted("the export is empty");
  if (edge.size !== anchor.checkpoint.size)
    throw new Refuted(`the export has ${edge.size} leaves, its checkpoint ${anchor.checkpoint.size}`);
  if (!equal(await edge.root(), anchor.checkpoint.root))
    throw new Refuted(
      "the events give another root than the signed checkpoint: one of them was altered, added or removed",
    );
  return { anchor, events, hidden: edge.size - events, organizationId };
}

type Leaf = { level: number; hash: Bytes; event: boolean };

const decoder = new TextDecoder();

async function read(line: Bytes): Promise<Header | Leaf> {
  if (line.at(-1) !== 0x0a) throw new Refuted("the export breaks off");
  const start = decoder.decode(line.subarray(0, 11));
  if (start.startsWith('{"export"')) return (JSON.parse(decoder.decode(line)) as { export: Header }).export;
  if (!start.startsWith('{"subtree"')) return { level: 0, hash: await leafHash(line.slice(0, -1)), event: true };
  const { subtree } = JSON.parse(decoder.decode(line)) as { subtree: { level: number; index: number; hash: string } };
  return { level: subtree.level, hash: fromBase64(subtree.hash), event: false };
}
