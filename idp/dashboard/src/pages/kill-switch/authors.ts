import { useQueries } from "@tanstack/react-query";
import type { Schema } from "../../api/client";
import { auditQuery } from "../../api/queries";

type Entry = Schema["RevocationEntry"];
type Event = Schema["AuditEvent"];

// actionsOf are the events that may have made an entry: the feed says neither who
// nor, in the words of who did it, why.
const actionsOf: Record<string, string[]> = {
  agent_suspended: ["agent.suspended"],
  agent_decommissioned: ["agent.decommissioned"],
  capability_removed: ["agent.updated"],
  credential_revoked: ["credential.revoked"],
  credential_rotated: ["credential.rotated"],
  revoked: ["revocation.created"],
};

const actionsFor = (entry: Entry): string[] =>
  entry.type === "jti" ? ["revocation.created", "token.revoked"] : (actionsOf[entry.reason] ?? []);

const near = 5000; // ms between an entry and the event of the same transaction, at most

// authorOf finds the event that goes with an entry.
export function authorOf(entry: Entry, events: Event[]): Event | undefined {
  const at = Date.parse(entry.at);
  const distance = (e: Event) => Math.abs(Date.parse(e.timestamp) - at);
  return events
    .filter((e) => actionsFor(entry).includes(e.action) && distance(e) <= near && names(e, entry))
    .sort((a, b) => distance(a) - distance(b))[0];
}

function names(event: Event, entry: Entry): boolean {
  const { id, jti, clientId, targetAgentId } = event.metadata ?? {};
  return [id, jti, clientId, targetAgentId].includes(entry.id);
}

// useAuthors asks the audit log about the entries, once for each action among them.
export function useAuthors(entries: Entry[]): (entry: Entry) => Event | undefined {
  const actions = [...new Set(entries.flatMap(actionsFor))].sort();
  const lists = useQueries({ queries: actions.map((action) => auditQuery({ action, limit: 100 })) });
  const events = lists.flatMap((l) => l.data?.data ?? []);
  return (entry) => authorOf(entry, events);
}
