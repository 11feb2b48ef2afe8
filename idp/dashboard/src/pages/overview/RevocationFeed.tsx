import { useQuery } from "@tanstack/react-query";
import type { Schema } from "../../api/client";
import { revocationsQuery } from "../../api/revocations";
import { AgentName } from "../../components/AgentName";
import { columnsOf, DataTable } from "../../components/DataTable";
import { Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";

type Entry = Schema["RevocationEntry"];

const column = columnsOf<Entry>();
const columns = column.columns([
  column.accessor("id", {
    header: "Cut off",
    meta: { wrap: true },
    cell: ({ row: { original: e } }) => (
      <>
        {e.type === "agent" ? <AgentName agentId={e.id} /> : <code>{e.id}</code>}
        <div className="muted">{e.type}</div>
      </>
    ),
  }),
  column.accessor("at", { header: "When", cell: (c) => <Time at={c.getValue()} as="ago" /> }),
  column.accessor("reason", { header: "Why", meta: { minor: true } }),
]);

export function RevocationFeed() {
  const feed = useQuery(revocationsQuery);
  return (
    <Panel title="Revocation feed" width="twoThirds" flush note={feed.data && `at ${feed.data.cursor.split(".")[1]}`}>
      <Await query={feed}>
        {({ entries }) => (
          <DataTable
            label="Latest revocations"
            columns={columns}
            rows={entries.slice(0, 8)}
            rowId={(e) => String(e.seq)}
            empty={<Empty title="Nothing is cut off" />}
          />
        )}
      </Await>
    </Panel>
  );
}
