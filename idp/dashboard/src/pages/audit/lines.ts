import { type Bytes, concat } from "./merkle";

const longest = 1 << 20; // bytes of a record; an event has 64 KiB at most

// records cuts a stream at line feeds, those within quotes excepted when asked (CSV), into
// batches of whole records with their ends. It holds one chunk and one record.
export async function* records(stream: ReadableStream<Bytes>, quotes = false): AsyncGenerator<Bytes[]> {
  let rest: Bytes = new Uint8Array();
  let quoted = false;
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const batch: Bytes[] = [];
      let start = 0;
      for (let i = 0; i < value.length; i++) {
        if (quotes && value[i] === 0x22) quoted = !quoted;
        if (value[i] !== 0x0a || quoted) continue;
        batch.push(concat([rest, value.subarray(start, i + 1)]));
        rest = new Uint8Array();
        start = i + 1;
      }
      rest = concat([rest, value.subarray(start)]);
      if (rest.length > longest) throw new Error("a line of the export is too long");
      if (batch.length > 0) yield batch;
    }
    if (rest.length > 0) yield [rest];
  } finally {
    await reader.cancel().catch(() => {}); // the reader may be the one that failed
  }
}
