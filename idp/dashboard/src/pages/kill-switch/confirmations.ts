import type { Schema } from "../../api/client";

type Sidecar = Schema["Sidecar"];

export type Confirmation = {
  sidecar: Sidecar;
  state: "confirmed" | "waiting" | "away";
  by?: string; // it refuses since then, or longer
};

// confirmations says of each sidecar whether it has acknowledged an entry of the
// feed. One that is away may not have, and refuses everything once its copy is too old.
export function confirmations(sidecars: Sidecar[], seq: number): Confirmation[] {
  return sidecars.map((sidecar) => {
    if ((sidecar.feedSequence ?? -1) >= seq) {
      return { sidecar, state: "confirmed", ...(sidecar.feedCursorAt && { by: sidecar.feedCursorAt }) };
    }
    return { sidecar, state: sidecar.connected ? "waiting" : "away" };
  });
}

// entryAfter finds the entry that a cut has made: what it names, above where the feed was before it.
export function entryAfter(
  entries: Schema["RevocationEntry"][],
  named: { type: string; id: string },
  before: number,
): Schema["RevocationEntry"] | undefined {
  return entries.find((e) => e.type === named.type && e.id === named.id && e.seq > before);
}
