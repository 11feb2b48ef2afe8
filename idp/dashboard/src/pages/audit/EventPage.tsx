import { queryOptions, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { answer, api, type Schema } from "../../api/client";
import { AgentName } from "../../components/AgentName";
import { CopyButton } from "../../components/copy";
import { Json } from "../../components/Json";
import { Badge, Facts, Grid, Page, Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { Time } from "../../components/Time";
import { ProofPanel } from "./ProofPanel";

const route = getRouteApi("/audit/$eventId");

// Events never change: one answer is good for ever.
const eventQuery = (eventId: string) =>
  queryOptions({
    queryKey: ["audit", "one", eventId],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/audit/{eventId}", { params: { path: { eventId } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

export function EventPage() {
  const { eventId } = route.useParams();
  const event = useQuery(eventQuery(eventId));
  return (
    <Page title={event.data?.action ?? "Event"} about={<Link to="/audit">All events</Link>}>
      <Await query={event} lines={10}>
        {(e) => (
          <Grid>
            <Panel title="Event" width="half">
              <Facts facts={facts(e)} />
            </Panel>
            <ProofPanel eventId={eventId} />
            <Panel title="As it stands in the log">
              <Json value={e} label="event" />
            </Panel>
          </Grid>
        )}
      </Await>
    </Page>
  );
}

type Fact = [name: string, value: ReactNode];

function facts(e: Schema["AuditEvent"]): Fact[] {
  const agent = e.agentId && (
    <Link to="/agents/$agentId" params={{ agentId: e.agentId }}>
      <AgentName agentId={e.agentId} />
    </Link>
  );
  const all: [string, ReactNode | undefined][] = [
    ["Outcome", <Badge key="o">{e.outcome}</Badge>],
    ["Reason", e.reason && <code>{e.reason}</code>],
    ["In their words", typeof e.metadata?.reason === "string" && e.metadata.reason],
    ["When", <Time key="t" at={e.timestamp} />],
    ["Agent", agent],
    ["Organization", e.organizationId],
    ["From", e.ipAddress && <code>{e.ipAddress}</code>],
    ["User agent", e.userAgent],
    ["Request", e.requestId && <code>{e.requestId}</code>],
    ["Number in the log", e.sequence],
    [
      "Event id",
      <>
        <code>{e.eventId}</code> <CopyButton text={e.eventId} label="Copy event id" />
      </>,
    ],
  ];
  return all.filter((f): f is Fact => f[1] !== undefined && f[1] !== "" && f[1] !== false);
}
