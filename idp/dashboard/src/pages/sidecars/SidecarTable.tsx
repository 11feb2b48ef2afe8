import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { sidecarsQuery } from "../../api/queries";
import { revocationsQuery } from "../../api/revocations";
import { AgentName } from "../../components/AgentName";
import { count } from "../../components/charts";
import { columnsOf, DataTable } from "../../components/DataTable";
import { Badge } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import { type Row, rowsOf } from "./state";

const column = columnsOf<Row>();
const columns = column.columns([
  column.accessor("agentId", {
    header: "Name",
    cell: ({ row: { original: s } }) => (
      <>
        <Link to="/agents/$agentId" params={{ agentId: s.agentId }}>
          {s.name ?? <AgentName agentId={s.agentId} />}
        </Link>
        <div className="muted" title={s.sidecarId}>
          {s.name ? <AgentName agentId={s.agentId} /> : <span className="mono">{s.sidecarId.slice(0, 8)}</span>}
        </div>
      </>
    ),
  }),
  column.accessor("connected", {
    header: "State",
    cell: ({ row: { original: s } }) => (
      <>
        <Badge tone={s.connected ? "good" : "bad"}>{s.connected ? "connected" : "away"}</Badge>
        <div className="muted">
          seen <Time at={s.seenAt} as="ago" />
        </div>
      </>
    ),
  }),
  column.accessor("behind", { header: "Feed lag", cell: ({ row: { original: s } }) => <Lag row={s} /> }),
  column.accessor("lastDecisionAt", {
    header: "Last decision",
    meta: { minor: true },
    cell: (c) => <Time at={c.getValue()} as="ago" />,
  }),
  column.accessor("nextSequence", {
    header: "Decisions",
    meta: { minor: true, number: true },
    cell: (c) => count.format(c.getValue()),
  }),
  column.accessor("version", {
    header: "Version, policy",
    meta: { minor: true, wrap: true }, // a version made between two releases is long
    cell: ({ row: { original: s } }) => (
      <>
        {s.version ?? "–"}
        <div>
          <code title={s.policyRevision}>{s.policyRevision?.slice(0, 8) ?? "–"}</code>{" "}
          {s.odd && <Badge tone="warn">differs</Badge>}
        </div>
      </>
    ),
  }),
]);

function Lag({ row: s }: { row: Row }) {
  const at = s.feedSequence !== undefined && (
    <div className="muted wide">
      at {s.feedSequence}, <Time at={s.feedCursorAt} as="ago" />
    </div>
  );
  if (s.behind === undefined) return <span className="muted">{s.feedCursor ? "another feed" : "–"}</span>;
  if (s.behind === 0) return <>none{at}</>;
  return (
    <>
      <Badge tone={s.connected ? "warn" : "bad"}>{`${s.behind} ${s.behind === 1 ? "entry" : "entries"}`}</Badge>
      {at}
    </>
  );
}

// SidecarTable lists the sidecars with how far each is behind the revocation
// feed, those that need somebody first.
export function SidecarTable() {
  const sidecars = useQuery(sidecarsQuery);
  const head = useQuery(revocationsQuery).data?.cursor;
  return (
    <Await query={sidecars}>
      {({ data }) => (
        <DataTable
          label="Sidecars"
          columns={columns}
          rows={rowsOf(data, head)}
          rowId={(s) => s.agentId + s.sidecarId}
          empty={
            <Empty title="No sidecar has reported yet">
              <p>A sidecar appears here when it reads the revocation feed for the first time.</p>
            </Empty>
          }
        />
      )}
    </Await>
  );
}
