import { useQuery } from "@tanstack/react-query";
import type { Schema } from "../api/client";
import { agentQuery, agentsQuery } from "../api/queries";
import { Email } from "./Email";

// AgentName is the email of an agent, or the beginning of its id until that is
// known, and where the caller may not know it. It asks at most once in ten minutes.
export function AgentName({ agentId }: { agentId: string }) {
  const { data } = useQuery({ ...agentQuery(agentId), staleTime: 600_000, refetchInterval: false });
  if (!data) return <span className="mono">{agentId.slice(0, 8)}…</span>;
  return (
    <span title={agentId}>
      <Email of={data.email} />
    </span>
  );
}

// useKnownAgents is the agents that one page of the list holds: enough to name most of
// those in a long table without a request for each.
export function useKnownAgents(): Schema["Agent"][] {
  const query = useQuery({ ...agentsQuery({ limit: 100 }), staleTime: 60_000, refetchInterval: false });
  return query.data?.data ?? [];
}
