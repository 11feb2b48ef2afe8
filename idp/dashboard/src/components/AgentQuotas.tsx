import { Link } from "@tanstack/react-router";
import type { Schema } from "../api/client";
import { type Bar, Bars, limited } from "./charts";
import { Email } from "./Email";
import { Empty } from "./states";

type Usage = Schema["OrganizationUsage"];

// nearest says which agents a list of so many shows.
export const nearest = (usage: Usage | undefined, shown: number): string | undefined =>
  usage &&
  (usage.mostTokens.length < shown
    ? "every agent that had a token this month"
    : `the ${shown} agents ${usage.tokensLimitPerAgent > 0 ? "nearest to their limit" : "with the most tokens this month"}`);

type Props = { usage: Usage; shown: number; bars?: Bar[] };

// AgentQuotas are the tokens of the agents that are nearest to their limit, after other bars.
export function AgentQuotas({ usage, shown, bars = [] }: Props) {
  const quotas = usage.mostTokens.slice(0, shown).map(
    (agent): Bar => ({
      key: agent.agentId,
      text: agent.email,
      name: (
        <Link to="/agents/$agentId" params={{ agentId: agent.agentId }}>
          <Email of={agent.email} />
        </Link>
      ),
      ...limited(agent.tokensUsed, usage.tokensLimitPerAgent),
    }),
  );
  const all = [...bars, ...quotas];
  return all.length === 0 ? <Empty title="No agent has had a token this month" /> : <Bars bars={all} />;
}
