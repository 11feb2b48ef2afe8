import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { auditQuery } from "../../api/queries";
import { AgentName } from "../../components/AgentName";
import { columnsOf, DataTable } from "../../components/DataTable";
import { EventLink } from "../../components/EventLink";
import { Badge, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";

const event = columnsOf<Schema["AuditEvent"]>();
const columns = event.columns([
  event.accessor("action", {
    header: "Event",
    cell: ({ row: { original: e } }) => <EventLink eventId={e.eventId} action={e.action} />,
  }),
  event.accessor("outcome", { header: "Outcome", cell: (c) => <Badge>{c.getValue()}</Badge> }),
  event.accessor("timestamp", { header: "When", cell: (c) => <Time at={c.getValue()} as="ago" /> }),
  event.accessor("reason", { header: "Why", meta: { minor: true }, cell: (c) => c.getValue() ?? "" }),
  event.accessor("metadata", { header: "What", meta: { minor: true, wrap: true }, cell: (c) => what(c.getValue()) }),
]);

// what words the request of a decision, or what a token was for.
function what(metadata: Schema["AuditEvent"]["metadata"]) {
  const { method, path, scope } = (metadata ?? {}) as Record<string, unknown>;
  if (typeof path === "string") return <code>{`${String(method)} ${path}`}</code>;
  return typeof scope === "string" ? <code>{scope}</code> : "";
}

// Of what others did the doer matters, which is nobody where the IdP acted by itself.
const others = event.columns([
  event.accessor("action", {
    header: "Event",
    cell: ({ row: { original: e } }) => <EventLink eventId={e.eventId} action={e.action} />,
  }),
  event.accessor("outcome", { header: "Outcome", cell: (c) => <Badge>{c.getValue()}</Badge> }),
  event.accessor("timestamp", { header: "When", cell: (c) => <Time at={c.getValue()} as="ago" /> }),
  event.accessor("agentId", { header: "By", meta: { minor: true }, cell: (c) => by(c.getValue()) }),
  event.accessor("metadata", { header: "Why", meta: { minor: true, wrap: true }, cell: (c) => why(c.getValue()) }),
]);

function by(agentId: string | undefined) {
  if (agentId === undefined) return <span className="muted">the IdP</span>;
  return (
    <Link to="/agents/$agentId" params={{ agentId }}>
      <AgentName agentId={agentId} />
    </Link>
  );
}

// why is the reason that a person gave, or which members were changed.
function why(metadata: Schema["AuditEvent"]["metadata"]) {
  const { reason, members } = (metadata ?? {}) as Record<string, unknown>;
  if (typeof reason === "string") return reason;
  return Array.isArray(members) ? members.join(", ") : "";
}

const shown = 10;

// Activity is what the agent did and was refused.
export function Activity({ agentId }: { agentId: string }) {
  const events = useQuery(auditQuery({ agentId, limit: shown }));
  return (
    <Panel title="Recent decisions and changes" flush>
      <Await query={events}>
        {(list) => (
          <DataTable
            label="Recent events"
            columns={columns}
            rows={list.data}
            rowId={(e) => e.eventId}
            empty={<Empty title="Nothing has happened yet" />}
          />
        )}
      </Await>
    </Panel>
  );
}

// DoneTo is what others did to the agent: who registered, suspended or changed it.
export function DoneTo({ agentId }: { agentId: string }) {
  const events = useQuery(auditQuery({ targetAgentId: agentId, limit: shown }));
  return (
    <Panel title="Done to it by others" flush>
      <Await query={events}>
        {(list) => (
          <DataTable
            label="Events by others"
            columns={others}
            rows={list.data}
            rowId={(e) => e.eventId}
            empty={<Empty title="Nobody else has done anything to it" />}
          />
        )}
      </Await>
    </Panel>
  );
}
