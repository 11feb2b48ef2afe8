import type { UseQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { AgentName } from "../../components/AgentName";
import { type Bar, Bars, count } from "../../components/charts";
import { Panel } from "../../components/layout";
import { Await, Empty } from "../../components/states";
import { Time } from "../../components/Time";

type Stats = Schema["Stats"];
type Top = Schema["StatsTopDenied"];
const shown = 5;

// TopDenied is what the sidecars refused most, and whom.
export function TopDenied({ stats }: { stats: UseQueryResult<Stats> }) {
  return (
    <>
      <Ranking title="Most denied capabilities" stats={stats} barsOf={capabilities} />
      <Ranking title="Most denied agents" stats={stats} barsOf={agents} />
    </>
  );
}

const capabilities = (top: Top) =>
  top.capabilities.map(
    ({ capability: c, count: value }): Bar => ({ key: c, text: c, name: <code>{c}</code>, value, tone: "bad" }),
  );

const agents = (top: Top) =>
  top.agents.map(
    ({ agentId, count: value }): Bar => ({
      key: agentId,
      text: agentId,
      name: (
        <Link to="/agents/$agentId" params={{ agentId }}>
          <AgentName agentId={agentId} />
        </Link>
      ),
      value,
      tone: "bad",
    }),
  );

type RankingProps = { title: string; stats: UseQueryResult<Stats>; barsOf: (top: Top) => Bar[] };

function Ranking({ title, stats, barsOf }: RankingProps) {
  return (
    <Panel title={title} width="third" note={stats.data && <Looked at={stats.data.topDenied} />}>
      <Await query={stats} lines={5}>
        {({ topDenied }) =>
          topDenied.denials === 0 ? (
            <Empty title="Nothing was denied" />
          ) : (
            <Bars bars={barsOf(topDenied).slice(0, shown)} />
          )
        }
      </Await>
    </Panel>
  );
}

// Looked says what was counted: all denials of the period, or the newest.
function Looked({ at: { complete, denials, since } }: { at: Top }) {
  if (complete) return denials === 1 ? "of 1 denial" : `of ${count.format(denials)} denials`;
  return (
    <>
      of the newest {count.format(denials)}, since <Time at={since} as="ago" />
    </>
  );
}
