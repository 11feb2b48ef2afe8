import { useQuery } from "@tanstack/react-query";
import { healthQuery } from "../../api/queries";
import { Badge, Facts, Panel } from "../../components/layout";
import { Await } from "../../components/states";

export function HealthPanel() {
  const health = useQuery(healthQuery);
  return (
    <Panel title="Health" width="third" note={health.data && `version ${health.data.version}`}>
      <Await query={health} lines={5}>
        {(data) => (
          <Facts
            facts={Object.entries(data.dependencies).map(([name, d]) => [
              words[name] ?? name,
              <>
                <Badge>{d.status}</Badge> <span className="muted">{d.reason ?? d.backend}</span>
              </>,
            ])}
          />
        )}
      </Await>
    </Panel>
  );
}

const words: Record<string, string> = {
  store: "Store",
  audit: "Audit log",
  signingKey: "Signing key",
  policy: "Policy",
  statusLists: "Status lists",
  vault: "Vault",
  redis: "Redis",
  process: "Process",
};
