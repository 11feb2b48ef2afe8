import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Schema } from "../../api/client";
import { agentQuery, sidecarsQuery } from "../../api/queries";
import { revocationsQuery } from "../../api/revocations";
import { AgentName } from "../../components/AgentName";
import { columnsOf, DataTable, Pages } from "../../components/DataTable";
import { Badge, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import { useAuthors } from "./authors";
import { type Confirmation, confirmations } from "./confirmations";
import css from "./killswitch.module.css";
import { Reactivate } from "./Watch";
import { nameOf, whyOf } from "./words";

type Entry = Schema["RevocationEntry"];
type Row = Entry & {
  newest: boolean; // no later entry names the same
  who?: string | undefined; // agentId
  words?: string | undefined; // why, in the words of who did it
  confirmed?: Confirmation[];
};

const limit = 10;

const column = columnsOf<Row>();
const columns = column.columns([
  column.accessor("id", {
    header: "Cut off",
    cell: ({ row: { original: e } }) => (
      <>
        <Which entry={e} />
        <div className="muted">
          {nameOf[e.type]}, <Time at={e.at} as="ago" />
        </div>
      </>
    ),
  }),
  column.accessor("reason", {
    header: "Why",
    meta: { minor: true, wrap: true },
    cell: ({ row: { original: e } }) => (
      <>
        {whyOf[e.reason] ?? e.reason}
        {e.words && e.words !== "revoked" && <div className="muted">“{e.words}”</div>}
      </>
    ),
  }),
  column.accessor("who", {
    header: "Who",
    meta: { minor: true },
    cell: (c) => <Who agentId={c.getValue()} />,
  }),
  column.accessor("confirmed", {
    header: "Sidecars",
    cell: ({ row: { original: e } }) => (
      <div className={css.state}>
        <Confirmed list={e.confirmed} />
        <Undo entry={e} />
      </div>
    ),
  }),
]);

function Who({ agentId }: { agentId: string | undefined }) {
  return agentId ? <AgentName agentId={agentId} /> : <span className="muted">–</span>;
}

function Which({ entry: e }: { entry: Entry }) {
  if (e.type === "agent")
    return (
      <Link to="/agents/$agentId" params={{ agentId: e.id }}>
        <AgentName agentId={e.id} />
      </Link>
    );
  const short = e.type === "kid" || e.type === "jti" ? `${e.id.slice(0, 13)}…` : e.id;
  return <code title={e.id}>{short}</code>;
}

function Confirmed({ list }: { list: Confirmation[] | undefined }) {
  if (list === undefined) return <span className="muted">–</span>;
  const count = (state: Confirmation["state"]) => list.filter((c) => c.state === state).length;
  const [waiting, away] = [count("waiting"), count("away")];
  if (waiting === 0 && away === 0) return list.length === 0 ? "none here" : <Badge tone="good">confirmed</Badge>;
  return (
    <>
      {waiting > 0 && <Badge tone="warn">{`${waiting} of ${list.length} waiting`}</Badge>}{" "}
      {away > 0 && <Badge tone="bad">{`${away} away`}</Badge>}
    </>
  );
}

// Undo is there for the suspension of an agent that still is suspended.
function Undo({ entry: e }: { entry: Row }) {
  const suspension = e.type === "agent" && e.reason === "agent_suspended" && e.newest;
  const agent = useQuery({ ...agentQuery(e.id), enabled: suspension });
  if (!suspension) return null;
  if (agent.data?.status === "suspended") return <Reactivate agentId={e.id} />;
  return agent.data?.status === "active" && <span className="muted">reactivated</span>;
}

// InForce lists what the revocation feed holds: tokens issued before an entry are refused.
export function InForce() {
  const feed = useQuery(revocationsQuery);
  const sidecars = useQuery(sidecarsQuery);
  const [page, setPage] = useState(1);
  const entries = feed.data?.entries ?? [];
  const last = Math.max(1, Math.ceil(entries.length / limit));
  const shown = entries.slice((Math.min(page, last) - 1) * limit, Math.min(page, last) * limit);
  const author = useAuthors(shown);
  const newest = useMemo(() => {
    const known = new Map<string, number>();
    for (const e of feed.data?.entries ?? [])
      known.set(`${e.type} ${e.id}`, Math.max(e.seq, known.get(`${e.type} ${e.id}`) ?? 0));
    return known;
  }, [feed.data]);
  const rows = shown.map((e): Row => {
    const event = author(e);
    const reason = event?.metadata?.reason;
    return {
      ...e,
      newest: newest.get(`${e.type} ${e.id}`) === e.seq,
      who: event?.agentId,
      words: typeof reason === "string" ? reason : undefined,
      ...(sidecars.data && { confirmed: confirmations(sidecars.data.data, e.seq) }),
    };
  });
  return (
    <Panel title="In force" flush note="tokens issued before a cut are refused; newest first">
      <Await query={feed}>
        {() => (
          <>
            <DataTable
              label="Revocations in force"
              columns={columns}
              rows={rows}
              rowId={(e) => String(e.seq)}
              empty={
                <Empty title="Nothing is cut off">
                  <p>What is suspended, revoked or rotated away appears here, also when somebody else did it.</p>
                </Empty>
              }
            />
            {entries.length > limit && (
              <Pages page={Math.min(page, last)} limit={limit} total={entries.length} onPage={setPage} />
            )}
          </>
        )}
      </Await>
    </Panel>
  );
}
