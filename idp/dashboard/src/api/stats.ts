import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api, type Schema } from "./client";
import { live } from "./live";

export const windows = {
  "1h": { label: "Last hour", step: "1m", seconds: 3600 },
  "24h": { label: "Last 24 hours", step: "1h", seconds: 86_400 },
  "30d": { label: "Last 30 days", step: "1d", seconds: 30 * 86_400 },
} as const;

export type Window = keyof typeof windows;

export const statsQuery = (window: Window) =>
  queryOptions({
    queryKey: ["stats", window],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/stats", { params: { query: { step: windows[window].step } }, signal })),
    placeholderData: keepPreviousData,
    ...live(15),
  });

type Counts = Schema["StatsCounts"];

// countOf sums what happened under some actions.
export const countOf = (counts: Counts, actions: string[]): number =>
  counts.reduce((sum, c) => (actions.includes(c.action) ? sum + c.count : sum), 0);

// seriesOf is one number for each bucket.
export const seriesOf = (stats: Schema["Stats"], actions: string[]): number[] =>
  stats.buckets.map((b) => countOf(b.counts, actions));

export const timesOf = (stats: Schema["Stats"]): number[] => stats.buckets.map((b) => Date.parse(b.at) / 1000);
