import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schema } from "../../api/client";
import { agentQuery } from "../../api/queries";
import { Button } from "../../components/controls";
import { Email } from "../../components/Email";
import { Grid, Page } from "../../components/layout";
import { Await } from "../../components/states";
import { useCan, useIdentity } from "../../session/useSession";
import { Activity, DoneTo } from "./Activity";
import { Capabilities } from "./Capabilities";
import { Credentials } from "./Credentials";
import { FirstSteps } from "./FirstSteps";
import { Identity } from "./Identity";
import { Lifecycle } from "./Lifecycle";
import { Metadata } from "./Metadata";
import { useTarget } from "./Samples";
import { Usage } from "./Usage";

const route = getRouteApi("/agents/$agentId");

export function AgentPage() {
  const { agentId } = route.useParams();
  const { start } = route.useSearch();
  const navigate = route.useNavigate();
  const agent = useQuery(agentQuery(agentId));
  const guide = (shown: boolean) => void navigate({ search: shown ? { start: true } : {}, replace: true });
  return (
    <Page
      title={agent.data?.email ?? "Agent"}
      heading={agent.data && <Email of={agent.data.email} />}
      about={<Link to="/agents">All agents</Link>}
      actions={
        agent.data && (
          <>
            {!start && agent.data.status === "active" && <Button onPress={() => guide(true)}>First steps</Button>}
            <Lifecycle agent={agent.data} />
          </>
        )
      }
    >
      <Await query={agent} lines={10}>
        {(a) => <Panels key={agentId} agent={a} start={start === true} onHide={() => guide(false)} />}
      </Await>
    </Page>
  );
}

type Props = { agent: Schema["Agent"]; start: boolean; onHide: () => void };

function Panels({ agent, start, onHide }: Props) {
  const { agentId } = agent;
  const aim = useTarget(agent);
  const [creating, setCreating] = useState(false);
  const may = useCan("agents:write") && agent.status !== "decommissioned";
  const own = useIdentity().agentId === agentId; // may change its metadata and version
  return (
    <Grid>
      {start && <FirstSteps agent={agent} {...aim} onCreate={() => setCreating(true)} onHide={onHide} />}
      <Identity agent={agent} edit={may || own} />
      <Usage agentId={agentId} gone={agent.status === "decommissioned"} />
      <Capabilities agent={agent} edit={may} />
      <Credentials agent={agent} aim={aim} creating={creating} onCreating={setCreating} />
      <Activity agentId={agentId} />
      <DoneTo agentId={agentId} />
      <Metadata agent={agent} edit={may || own} />
    </Grid>
  );
}
