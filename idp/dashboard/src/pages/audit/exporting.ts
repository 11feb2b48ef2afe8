import { answer, api } from "../../api/client";
import type { operations } from "../../api/schema";
import { download } from "../../components/copy";
import { records } from "./lines";
import { type Bytes, concat } from "./merkle";

export type Format = "ndjson" | "csv";
export type Filter = Omit<NonNullable<operations["exportAudit"]["parameters"]["query"]>, "format">;
export type Saved = { bytes: number; events: number };

// Sink takes an export. Whoever writes must end it with close or abort.
export type Sink = {
  write(chunk: Bytes): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
};

export const inMemory = 256 << 20; // bytes that are kept where the browser cannot write to disk as it reads

type SavePicker = (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;

// openSink asks where to save, where the browser can write to disk as it reads. Elsewhere
// the export is kept in memory up to a limit. It must be called in a click.
export async function openSink(name: string, media: string): Promise<Sink> {
  const picker = (window as { showSaveFilePicker?: SavePicker }).showSaveFilePicker;
  if (picker) return (await picker.call(window, { suggestedName: name })).createWritable();
  let [parts, size]: [Bytes[], number] = [[], 0];
  return {
    async write(chunk) {
      size += chunk.length;
      if (size > inMemory)
        throw new Error(
          "this browser keeps a download in memory, and this one is over 256 MiB: narrow the dates, or use agentidp audit export",
        );
      parts.push(chunk);
    },
    async close() {
      download(name, media, new Blob(parts, { type: media }));
      parts = [];
    },
    async abort() {
      parts = [];
    },
  };
}

// saveExport streams an export into a sink, which it closes, or aborts when anything fails.
export async function saveExport(
  format: Format,
  filter: Filter,
  sink: Sink,
  onProgress: (saved: Saved) => void,
  signal: AbortSignal,
): Promise<Saved> {
  const saved = { bytes: 0, events: 0 };
  try {
    const query = { format, ...filter };
    const stream = await answer(api.GET("/api/v1/audit/export", { params: { query }, parseAs: "stream", signal }));
    const frame = format === "csv" ? head() : proof;
    for await (const batch of records(stream as unknown as ReadableStream<Bytes>, format === "csv")) {
      const chunk = concat(batch);
      await sink.write(chunk);
      saved.bytes += chunk.length;
      saved.events += batch.filter((record) => !frame(record)).length;
      onProgress({ ...saved });
    }
    await sink.close();
    return saved;
  } catch (error) {
    await sink.abort().catch(() => {}); // what failed is told
    throw error;
  }
}

const decoder = new TextDecoder();

// proof says of a line of NDJSON that it is the header, or a hash in the place of other events.
function proof(line: Bytes): boolean {
  const start = decoder.decode(line.subarray(0, 11));
  return start.startsWith('{"export"') || start.startsWith('{"subtree"');
}

// head says of a record of CSV that it is the first.
function head(): (record: Bytes) => boolean {
  let first = true;
  return () => {
    const was = first;
    first = false;
    return was;
  };
}
