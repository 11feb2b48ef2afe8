import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, done, type Schema } from "../../api/client";
import { credentialsQuery, sidecarsQuery } from "../../api/queries";
import { Button } from "../../components/controls";
import { Confirm } from "../../components/dialogs";
import { useCan, useIdentity } from "../../session/useSession";
import { useLiveTokens } from "./liveTokens";

type Agent = Schema["Agent"];
type Step = "suspend" | "reactivate" | "decommission";

// Lifecycle are the changes of an agent's status.
export function Lifecycle({ agent }: { agent: Agent }) {
  const [asked, setAsked] = useState<Step>();
  const may = useCan("agents:write");
  if (!may || agent.status === "decommissioned") return null;
  return (
    <>
      {agent.status === "active" ? (
        <Button onPress={() => setAsked("suspend")}>Suspend</Button>
      ) : (
        <Button tone="primary" onPress={() => setAsked("reactivate")}>
          Reactivate
        </Button>
      )}
      <Button tone="danger" onPress={() => setAsked("decommission")}>
        Decommission
      </Button>
      {asked && <Ask step={asked} agent={agent} onClose={() => setAsked(undefined)} />}
    </>
  );
}

function Ask({ step, agent, onClose }: { step: Step; agent: Agent; onClose: () => void }) {
  const { agentId, email } = agent;
  const path = { path: { agentId } };
  const change = useMutation({
    mutationFn: (reason: string) => {
      const why = reason !== "" && { reason };
      if (step === "decommission")
        return done(api.DELETE("/api/v1/agents/{agentId}", { params: { ...path, ...(why && { query: why }) } }));
      const status = step === "suspend" ? "suspended" : "active";
      return done(api.PATCH("/api/v1/agents/{agentId}", { params: path, body: { status, ...why } }));
    },
  });
  if (step === "reactivate")
    return (
      <Confirm
        title={`Reactivate ${email}?`}
        consequences={<p>Its credentials obtain tokens again. Tokens from before the suspension stay dead.</p>}
        reason=""
        action="Reactivate"
        tone="primary"
        onConfirm={change.mutateAsync}
        onClose={onClose}
      />
    );
  const final = step === "decommission";
  return (
    <Confirm
      title={final ? `Decommission ${email}?` : `Suspend ${email}?`}
      consequences={<Consequences agent={agent} final={final} />}
      phrase={email}
      reason=""
      action={final ? "Decommission" : "Suspend"}
      onConfirm={change.mutateAsync}
      onClose={onClose}
    />
  );
}

// Consequences says what dies and what stays.
function Consequences({ agent, final }: { agent: Agent; final: boolean }) {
  const { agentId } = useIdentity();
  const tokens = useLiveTokens("agent", agent.agentId);
  const maySeeCredentials = useCan("credentials:read");
  const credentials = useQuery({ ...credentialsQuery(agent.agentId), enabled: maySeeCredentials }).data?.data;
  const active = credentials?.filter((c) => c.status === "active").length;
  const maySeeSidecars = useCan("sidecars:read");
  const sidecars = useQuery({ ...sidecarsQuery, enabled: maySeeSidecars }).data?.data ?? [];
  const own = sidecars.filter((s) => s.agentId === agent.agentId);
  const connected = sidecars.filter((s) => s.connected && s.agentId !== agent.agentId).length;
  return (
    <>
      <p>This dies at once, at the IdP and within a second at every connected sidecar{counted(connected)}:</p>
      <ul>
        <li>{tokens === undefined ? "its live tokens" : plural(tokens, "live token")}</li>
        {final ? (
          <li>{active === undefined ? "its credentials" : plural(active, "credential")}, for good</li>
        ) : (
          <li>
            its right to new tokens:{" "}
            {active === 1 ? "1 credential stays, and is" : `${active ?? "its"} credentials stay, and are`} refused
          </li>
        )}
        {own.map((s) => (
          <li key={s.sidecarId}>
            what sidecar <code>{s.sidecarId.slice(0, 8)}…</code> ({s.connected ? "connected" : "away"}) hears of
            revocations and tells of its decisions: it is this agent's, and answers 503 once what it knows is too old
          </li>
        ))}
        {agent.agentType === "sidecar" && own.length === 0 && (
          <li>the connection of every sidecar that uses its credential</li>
        )}
        {agent.agentId === agentId && <li>your own session: this is the agent you are signed in as</li>}
      </ul>
      <p>
        {final
          ? "It cannot be undone. Its record and its audit events stay, and its email is free again."
          : "It can be reactivated. Tokens that die now stay dead then."}
      </p>
    </>
  );
}

const plural = (n: string | number, what: string) => `${n} ${what}${String(n) === "1" ? "" : "s"}`;
const counted = (connected: number) => (connected > 0 ? ` (${connected} now)` : "");
