import type { UseQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { Bars } from "../../components/charts";
import { Panel } from "../../components/layout";
import { Await } from "../../components/states";

const environments = ["production", "staging", "development"] as const;

// Environments counts the agents that are not decommissioned, by where they run.
export function Environments({ stats }: { stats: UseQueryResult<Schema["Stats"]> }) {
  return (
    <Panel title="Agents by environment" width="half" note="active and suspended">
      <Await query={stats} lines={5}>
        {({ now }) => (
          <Bars
            bars={environments.map((env) => ({
              key: env,
              text: env,
              value: now.agents.environments[env],
              name: (
                <Link to="/agents" search={{ deploymentEnv: env }}>
                  {env}
                </Link>
              ),
            }))}
          />
        )}
      </Await>
    </Panel>
  );
}
