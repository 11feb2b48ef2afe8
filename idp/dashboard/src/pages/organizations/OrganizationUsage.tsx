import { keepPreviousData, queryOptions, useQuery } from "@tanstack/react-query";
import { answer, api, type Schema } from "../../api/client";
import { live } from "../../api/live";
import { organizationUsageQuery } from "../../api/queries";
import { AgentQuotas, nearest } from "../../components/AgentQuotas";
import { Bars, count, limited } from "../../components/charts";
import { Facts, Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { Time } from "../../components/Time";

const nowQuery = (organizationId: string) =>
  queryOptions({
    queryKey: ["stats", "now", organizationId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/stats", { params: { query: { step: "1h", organizationId } }, signal })),
    placeholderData: keepPreviousData,
    ...live(30),
  });

// OrganizationUsage is what an organization has and uses, against what its plan allows.
export function OrganizationUsage({ organization: o }: { organization: Schema["Organization"] }) {
  const stats = useQuery(nowQuery(o.organizationId));
  return (
    <>
      <Panel title="Now" width="half">
        <Await query={stats} lines={5}>
          {({ now }) => (
            <Facts
              facts={[
                [
                  "Agents",
                  `${count.format(now.agents.active)} active, ${count.format(now.agents.suspended)} suspended, ${count.format(now.agents.decommissioned)} decommissioned`,
                ],
                [
                  "Live credentials",
                  `${count.format(now.credentials.active)}, of which ${count.format(now.credentials.expiring)} end within 14 days`,
                ],
                ["Sidecars connected", count.format(now.sidecars.connected)],
              ]}
            />
          )}
        </Await>
      </Panel>
      <Limits organizationId={o.organizationId} />
      <Tokens organizationId={o.organizationId} />
    </>
  );
}

// Limits is what counts for the whole organization.
function Limits({ organizationId }: { organizationId: string }) {
  const usage = useQuery(organizationUsageQuery(organizationId));
  return (
    <Panel title="Against its limits" width="half" note={usage.data?.month}>
      <Await query={usage}>
        {(u) => (
          <>
            <Bars
              bars={[
                {
                  key: "agents",
                  text: "agents, active and suspended",
                  name: u.agentsLimit > 0 ? "Agents" : "Agents (no limit)",
                  ...limited(u.agentsUsed, u.agentsLimit),
                },
              ]}
            />
            <p>
              Tokens of all agents this month: {count.format(u.tokensUsed)}.{" "}
              <span className="muted">
                {u.tokensLimitPerAgent > 0
                  ? `Each agent may have ${count.format(u.tokensLimitPerAgent)}; `
                  : "There is no limit; "}
                counting starts again <Time at={u.resetsAt} />.
              </span>
            </p>
          </>
        )}
      </Await>
    </Panel>
  );
}

const shown = 10; // as many as the API names

function Tokens({ organizationId }: { organizationId: string }) {
  const usage = useQuery(organizationUsageQuery(organizationId));
  return (
    <Panel title="Tokens of each agent" width="half" note={nearest(usage.data, shown)}>
      <Await query={usage}>{(u) => <AgentQuotas usage={u} shown={shown} />}</Await>
    </Panel>
  );
}
