import { useQuery } from "@tanstack/react-query";
import { usageQuery } from "../../api/queries";
import { Bars, limited } from "../../components/charts";
import { Panel } from "../../components/layout";
import { Await } from "../../components/states";
import { Time } from "../../components/Time";
import { useLiveTokens } from "./liveTokens";

export function Usage({ agentId, gone }: { agentId: string; gone: boolean }) {
  const usage = useQuery(usageQuery(agentId));
  return (
    <Panel title="Usage" width="third" note={usage.data?.month}>
      <Await query={usage}>
        {({ tokensUsed, tokensLimit, resetsAt }) => (
          <>
            <Bars
              bars={[
                {
                  key: "tokens",
                  text: "tokens this month",
                  name: "Tokens this month",
                  ...limited(tokensUsed, tokensLimit),
                },
              ]}
            />
            <p className="muted">
              {tokensLimit === 0 ? "No limit. " : ""}Counting starts again <Time at={resetsAt} />
            </p>
            {!gone && <LiveTokens agentId={agentId} />}
          </>
        )}
      </Await>
    </Panel>
  );
}

function LiveTokens({ agentId }: { agentId: string }) {
  const live = useLiveTokens("agent", agentId);
  if (live === undefined) return null;
  return (
    <p>
      Live tokens: <strong>{live}</strong>
    </p>
  );
}
