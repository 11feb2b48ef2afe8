import { queryOptions } from "@tanstack/react-query";
import { answer, api, type Schema } from "./client";
import { live } from "./live";

// Feed is the revocation feed as far as a dashboard follows it.
export type Feed = { cursor: string; entries: Schema["RevocationEntry"][] };

const kept = 200;

// seqOf is the position that a cursor names.
export const seqOf = (cursor: string | undefined): number => Number(cursor?.split(".")[1] ?? 0);

// behind is how many entries a reader's cursor lacks; unknown when the cursors
// are of different feeds, or the reader has named none.
export function behind(head: string | undefined, cursor: string | undefined): number | undefined {
  if (!head || !cursor || head.split(".")[0] !== cursor.split(".")[0]) return undefined;
  return Math.max(0, seqOf(head) - seqOf(cursor));
}

async function read(after: string | undefined, signal: AbortSignal): Promise<Feed & { snapshot: boolean }> {
  const query = after === undefined ? {} : { after, wait: 0 };
  const text = await answer(api.GET("/api/v1/revocations", { params: { query }, signal, parseAs: "text" }));
  const body = String(text);
  // A snapshot is a JWS (RFC 7515); this page only shows it, so it does not verify it.
  const snapshot = !body.startsWith("{");
  const json = snapshot ? new TextDecoder().decode(decode(body.split(".")[1] ?? "")) : body;
  return { ...(JSON.parse(json) as Feed), snapshot };
}

function decode(base64url: string): Uint8Array {
  return Uint8Array.from(atob(base64url.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
}

// revocationsQuery asks for the whole once, then for what is new. The rate limit
// does not count it.
export const revocationsQuery = queryOptions({
  queryKey: ["revocations"],
  queryFn: async ({ client, queryKey, signal }): Promise<Feed> => {
    const known = client.getQueryData<Feed>(queryKey);
    const news = await read(known?.cursor, signal);
    const entries = news.snapshot ? news.entries : [...(known?.entries ?? []), ...news.entries];
    return { cursor: news.cursor, entries: entries.sort((a, b) => b.seq - a.seq).slice(0, kept) };
  },
  ...live(15),
});
