import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Schema } from "../../api/client";
import { countOf, seriesOf, statsQuery, timesOf, type Window, windows } from "../../api/stats";
import { count, Tiles, TimeChart } from "../../components/charts";
import { Choice } from "../../components/controls";
import { Grid, Page, Panel } from "../../components/layout";
import { Await, ProblemCard } from "../../components/states";
import { SidecarTable } from "../sidecars/SidecarTable";
import { Environments } from "./Environments";
import { HealthPanel } from "./HealthPanel";
import { KeyAges } from "./KeyAges";
import { NewHere } from "./NewHere";
import { QuotaPanel } from "./QuotaPanel";
import { RevocationFeed } from "./RevocationFeed";
import { TopDenied } from "./TopDenied";

const route = getRouteApi("/");
const names = Object.keys(windows) as Window[];

export function OverviewPage() {
  const window = route.useSearch().window ?? "24h";
  const navigate = route.useNavigate();
  const stats = useQuery(statsQuery(window));
  return (
    <Page
      title="Overview"
      actions={
        <Choice
          label="Period"
          value={window}
          options={names}
          text={(w) => windows[w].label}
          onChange={(w) => void navigate({ search: w && w !== "24h" ? { window: w } : {}, replace: true })}
        />
      }
    >
      <Grid>
        <NewHere now={stats.data?.now} />
        {stats.isLoadingError ? (
          <Panel title="Counts">
            <ProblemCard error={stats.error} onRetry={() => void stats.refetch()} />
          </Panel>
        ) : (
          <Counts stats={stats} period={windows[window].label} />
        )}
        <QuotaPanel />
        <Panel title="Sidecars" flush note="most recently seen first">
          <SidecarTable />
        </Panel>
        <RevocationFeed />
        <HealthPanel />
        {!stats.isLoadingError && <Environments stats={stats} />}
        <KeyAges />
      </Grid>
    </Page>
  );
}

type CountsProps = { stats: UseQueryResult<Schema["Stats"]>; period: string };

// Counts is what happened in the period: all of it one answer of the API.
function Counts({ stats, period }: CountsProps) {
  return (
    <>
      <Await query={stats} lines={4}>
        {(data) => <Numbers stats={data} />}
      </Await>
      <Panel title="Tokens" width="half" note={period}>
        <Await query={stats} lines={8}>
          {(data) => <Tokens stats={data} />}
        </Await>
      </Panel>
      <Panel title="Decisions at the sidecars" width="half" note={period}>
        <Await query={stats} lines={8}>
          {(data) => <Decisions stats={data} />}
        </Await>
      </Panel>
      <TopDenied stats={stats} />
    </>
  );
}

type Props = { stats: Schema["Stats"] };

function Numbers({ stats }: Props) {
  const { agents, credentials, sidecars, tokensThisMonth } = stats.now;
  return (
    <Tiles
      tiles={[
        {
          name: "Active agents",
          value: agents.active,
          note: `${count.format(agents.suspended)} suspended, ${count.format(agents.decommissioned)} decommissioned`,
        },
        {
          name: "Live credentials",
          value: credentials.active,
          note: `${count.format(credentials.expiring)} end within 14 days`,
        },
        { name: "Tokens this month", value: tokensThisMonth, note: "UTC calendar month" },
        {
          name: "Sidecars connected",
          value: sidecars.connected,
          note: `${count.format(sidecars.lastHour)} in the last hour`,
        },
        { name: "Management refusals", value: countOf(stats.totals, refusedCalls), note: "in the period" },
      ]}
    />
  );
}

const refusedCalls = ["request.denied", "request.unauthenticated", "request.rate_limited"];

function Tokens({ stats }: Props) {
  const { times, series } = useMemo(
    () => ({
      times: timesOf(stats),
      series: [
        { label: "issued", values: seriesOf(stats, ["token.issued"]) },
        { label: "refused", values: seriesOf(stats, ["token.refused"]) },
      ],
    }),
    [stats],
  );
  return <TimeChart label="Tokens issued and refused over time" times={times} series={series} />;
}

function Decisions({ stats }: Props) {
  const { times, series } = useMemo(
    () => ({
      times: timesOf(stats),
      series: [
        { label: "allowed", values: seriesOf(stats, ["decision.allowed"]) },
        { label: "denied", values: seriesOf(stats, ["decision.denied"]) },
        { label: "errors", values: seriesOf(stats, ["decision.error"]) },
      ],
    }),
    [stats],
  );
  return <TimeChart label="Requests allowed and denied over time" times={times} series={series} />;
}
