import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schema } from "../../api/client";
import { auditQuery } from "../../api/queries";
import { useKnownAgents } from "../../components/AgentName";
import { AgentPicker } from "../../components/AgentPicker";
import { Button, Choice, Search } from "../../components/controls";
import { CursorPages, columnsOf, DataTable } from "../../components/DataTable";
import { Moment } from "../../components/dates";
import { Email } from "../../components/Email";
import { EventLink } from "../../components/EventLink";
import { Icon } from "../../components/Icon";
import { Badge, Filters, Page, Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";
import { searched, useSettled } from "../../components/useSettled";
import css from "./audit.module.css";
import { ExportSheet } from "./ExportSheet";
import { VerifySheet } from "./VerifySheet";
import { actions, outcomes, what } from "./words";

const route = getRouteApi("/audit");
const limit = 50;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // of what is shown, and of From and Before

const column = columnsOf<Schema["AuditEvent"]>();
const columns = column.columns([
  column.accessor("action", {
    header: "Event",
    meta: { wrap: true },
    cell: ({ row: { original: e } }) => (
      <>
        <EventLink eventId={e.eventId} action={e.action} />
        <div className={css.under}>
          <Actor agentId={e.agentId} /> <Whom event={e} /> <code>{what(e)}</code>
        </div>
      </>
    ),
  }),
  column.accessor("outcome", { header: "Outcome", cell: (c) => <Badge>{c.getValue()}</Badge> }),
  column.accessor("timestamp", { header: "When", cell: (c) => <Time at={c.getValue()} /> }),
  column.accessor("agentId", {
    header: "Agent",
    meta: { minor: true, wrap: true },
    cell: (c) => <Actor agentId={c.getValue()} />,
  }),
  column.display({
    id: "what",
    header: "What",
    meta: { minor: true, wrap: true },
    cell: ({ row: { original: e } }) => (
      <>
        <Whom event={e} />{" "}
        <code className={css.what} title={what(e)}>
          {what(e)}
        </code>{" "}
        {e.reason && <span className="muted">{e.reason}</span>}
      </>
    ),
  }),
  column.accessor("sequence", { header: "No.", meta: { minor: true, number: true } }),
]);

function Actor({ agentId }: { agentId: string | undefined }) {
  const known = useKnownAgents().find((a) => a.agentId === agentId);
  if (agentId === undefined) return <span className="muted">–</span>;
  return (
    <Link to="/agents/$agentId" params={{ agentId }} title={agentId}>
      {known ? <Email of={known.email} /> : <span className="mono">{agentId.slice(0, 8)}…</span>}
    </Link>
  );
}

// Whom names the agent that the event was done to by another.
function Whom({ event: { agentId, metadata } }: { event: Schema["AuditEvent"] }) {
  const target = metadata?.targetAgentId;
  return typeof target === "string" && target !== agentId ? <Actor agentId={target} /> : null;
}

export function AuditPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [open, setOpen] = useState<"export" | "verify">();
  const { trail = [], q, ...exact } = search;
  const asked = useSettled(searched(q));
  const filter = { ...exact, ...(asked !== undefined && { q: asked }) };
  const cursor = trail.at(-1);
  const events = useQuery(auditQuery({ ...filter, limit, ...(cursor !== undefined && { cursor }) }));
  const change = (members: Partial<typeof search>, replace = true) =>
    void navigate({ search: (old) => ({ ...old, trail: undefined, ...members }) as typeof search, replace });
  const filtered = Object.keys(filter).length > 0;
  const known: readonly string[] = actions;
  return (
    <Page
      title="Audit"
      about="Every change, every token issued or refused, and every decision of every sidecar, in one append-only log."
      actions={
        <>
          <Button onPress={() => setOpen("export")}>
            <Icon name="download" /> Export
          </Button>
          <Button tone="primary" onPress={() => setOpen("verify")}>
            <Icon name="policies" /> Verify the log
          </Button>
        </>
      }
    >
      <Filters>
        <Search
          label="Search"
          placeholder="a request's id, a reason, an address, a path, a capability…"
          hint="Text that stands in any value of an event. The newest 5,000 that the other filters leave are looked at, then as many again on the next page."
          value={q ?? ""}
          onChange={(typed) => change({ q: typed || undefined })}
        />
        <AgentPicker
          label="Agent"
          placeholder="anyone"
          value={filter.agentId}
          onChange={(agentId) => change({ agentId })}
        />
        <AgentPicker
          label="Done to"
          placeholder="anyone"
          value={filter.targetAgentId}
          onChange={(targetAgentId) => change({ targetAgentId })}
        />
        <Choice
          label="Action"
          all="any"
          value={filter.action}
          options={filter.action === undefined || known.includes(filter.action) ? known : [filter.action, ...known]}
          onChange={(action) => change({ action })}
        />
        <Choice
          label="Outcome"
          all="any"
          value={filter.outcome}
          options={outcomes}
          onChange={(outcome) => change({ outcome })}
        />
        <Moment label="From" value={filter.from} onChange={(from) => change({ from })} />
        <Moment label="Before" value={filter.to} onChange={(to) => change({ to })} />
      </Filters>
      <Panel
        title="Events"
        flush
        note={`${cursor === undefined ? "newest first" : `page ${trail.length + 1}`}; times in ${zone}`}
      >
        <Await query={events} lines={12}>
          {(list) => (
            <>
              <DataTable
                label="Events"
                columns={columns}
                rows={list.data}
                rowId={(e) => e.eventId}
                empty={
                  list.nextCursor !== undefined ? (
                    <NotYet to={list.scannedTo} />
                  ) : (
                    <Empty title={filtered ? "No event fits these filters" : "No event"}>
                      {filtered && <Button onPress={() => void navigate({ search: {} })}>Clear the filters</Button>}
                    </Empty>
                  )
                }
              />
              {(trail.length > 0 || list.nextCursor !== undefined) && (
                <CursorPages
                  trail={trail}
                  next={list.nextCursor}
                  onTrail={(next) => change({ trail: next.length > 0 ? next : undefined } as never, false)}
                >
                  {range(list.data)}
                  {list.scannedTo && (
                    <>
                      {list.data.length > 0 && "; "}searched back to <Time at={list.scannedTo} />
                    </>
                  )}
                </CursorPages>
              )}
            </>
          )}
        </Await>
      </Panel>
      {open === "export" && <ExportSheet filter={filter} onClose={() => setOpen(undefined)} />}
      {open === "verify" && <VerifySheet onClose={() => setOpen(undefined)} />}
    </Page>
  );
}

// NotYet is a page of a search without a find, before its end.
function NotYet({ to }: { to: string | undefined }) {
  return (
    <Empty title="Not found yet">
      <p>
        No event since <Time at={to} /> holds this text. Next searches older ones; an agent, an action or a date makes
        it quicker.
      </p>
    </Empty>
  );
}

// range says which events of the log a page holds.
function range(events: Schema["AuditEvent"][]): string {
  const [first, last] = [events[0], events.at(-1)];
  return first && last ? `no. ${first.sequence} to ${last.sequence}` : "";
}
