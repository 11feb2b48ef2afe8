import { useNavigate } from "@tanstack/react-router";
import type { Schema } from "../../api/client";
import { Button } from "../../components/controls";
import { Panel } from "../../components/layout";
import { useCan } from "../../session/useSession";
import css from "./overview.module.css";

const atFirst = 3; // agents: the administrator, and what `make up` registers

// NewHere leads on from an installation that nobody has used yet.
export function NewHere({ now }: { now: Schema["StatsNow"] | undefined }) {
  const navigate = useNavigate();
  const may = useCan("agents:write");
  if (!may || now === undefined) return null;
  const { active, suspended, decommissioned } = now.agents;
  if (active + suspended + decommissioned > atFirst) return null;
  return (
    <Panel title="New here?">
      <div className={css.next}>
        <p>Register an agent: its page leads on to its credential, its first token and its first request.</p>
        <Button tone="primary" onPress={() => void navigate({ to: "/agents/new" })}>
          Register an agent
        </Button>
      </div>
    </Panel>
  );
}
