import { useQuery } from "@tanstack/react-query";
import { organizationUsageQuery } from "../../api/queries";
import { AgentQuotas, nearest } from "../../components/AgentQuotas";
import { limited } from "../../components/charts";
import { Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { useIdentity } from "../../session/useSession";

const shown = 5;

// QuotaPanel is how near the reader's organization and its agents are to their limits.
export function QuotaPanel() {
  const usage = useQuery(organizationUsageQuery(useIdentity().organizationId));
  const agents = nearest(usage.data, shown);
  return (
    <Panel title="Against the quota" width="third" note={agents && `tokens of ${agents}`}>
      <Await query={usage}>
        {(u) => (
          <AgentQuotas
            usage={u}
            shown={shown}
            bars={[{ key: "", text: "agents", name: "Agents", ...limited(u.agentsUsed, u.agentsLimit) }]}
          />
        )}
      </Await>
    </Panel>
  );
}
