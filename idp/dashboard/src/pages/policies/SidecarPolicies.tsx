import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { sidecarsQuery } from "../../api/queries";
import { AgentName } from "../../components/AgentName";
import { columnsOf, DataTable } from "../../components/DataTable";
import { Badge, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";

type Row = Schema["Sidecar"] & { same: boolean | undefined };

const column = columnsOf<Row>();
const columns = column.columns([
  column.accessor("agentId", {
    header: "Sidecar",
    cell: (c) => (
      <Link to="/agents/$agentId" params={{ agentId: c.getValue() }}>
        <AgentName agentId={c.getValue()} />
      </Link>
    ),
  }),
  column.accessor("policyRevision", {
    header: "Policy",
    cell: ({ row: { original: s } }) => (
      <>
        <code title={s.policyRevision}>{s.policyRevision?.slice(0, 8) ?? "–"}</code>
        {s.same !== undefined && (
          <div>
            <Badge tone="neutral">{s.same ? "the IdP’s" : "its own"}</Badge>
          </div>
        )}
      </>
    ),
  }),
  column.accessor("seenAt", {
    header: "Seen",
    meta: { minor: true },
    cell: (c) => <Time at={c.getValue()} as="ago" />,
  }),
]);

// SidecarPolicies says which policy each sidecar decides by, as it said last.
export function SidecarPolicies({ revision }: { revision: string | undefined }) {
  const sidecars = useQuery(sidecarsQuery);
  return (
    <Panel title="At the sidecars" width="half" flush note="as each said last">
      <Await query={sidecars}>
        {({ data }) => (
          <DataTable
            label="Policies of the sidecars"
            columns={columns}
            rows={data.map((s) => ({ ...s, same: sameAs(revision, s.policyRevision) }))}
            rowId={(s) => s.agentId + s.sidecarId}
            empty={<Empty title="No sidecar has reported yet" />}
          />
        )}
      </Await>
    </Panel>
  );
}

const sameAs = (here: string | undefined, there: string | undefined) =>
  here === undefined || there === undefined ? undefined : here === there;
