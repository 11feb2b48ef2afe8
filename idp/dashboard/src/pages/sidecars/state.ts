import type { Schema } from "../../api/client";
import { behind } from "../../api/revocations";

export type Row = Schema["Sidecar"] & {
  behind: number | undefined; // entries of the feed it has not confirmed; unknown: it named no cursor of this feed
  odd: boolean; // its policy is not what most others have
};

// rowsOf lists sidecars with what is wrong with them, the worst first.
export function rowsOf(sidecars: Schema["Sidecar"][], head: string | undefined): Row[] {
  const usual = usualPolicy(sidecars);
  const rows = sidecars.map((s) => ({
    ...s,
    behind: behind(head, s.feedCursor),
    odd: s.connected && usual !== undefined && s.policyRevision !== undefined && s.policyRevision !== usual,
  }));
  return rows.sort((a, b) => trouble(b) - trouble(a));
}

const trouble = (r: Row): number => (r.connected ? 0 : 4) + ((r.behind ?? 0) > 0 ? 2 : 0) + (r.odd ? 1 : 0);

// usualPolicy is the revision that most connected sidecars have; none when they are evenly divided.
function usualPolicy(sidecars: Schema["Sidecar"][]): string | undefined {
  const counts = new Map<string, number>();
  for (const { connected, policyRevision } of sidecars)
    if (connected && policyRevision) counts.set(policyRevision, (counts.get(policyRevision) ?? 0) + 1);
  const [first, second] = [...counts].sort((a, b) => b[1] - a[1]);
  return first && (second === undefined || second[1] < first[1]) ? first[0] : undefined;
}
