import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Schema } from "../../api/client";
import { asProblem } from "../../api/problem";
import { type Feed, revocationsQuery, seqOf } from "../../api/revocations";
import { Button } from "../../components/controls";
import { Confirm } from "../../components/dialogs";
import { Badge, Facts } from "../../components/layout";
import { Options } from "../../components/picks";
import { useIdentity } from "../../session/useSession";
import { type Deed, deedsOf, entryOf, labelOf, phraseOf, type Target } from "./deeds";
import css from "./killswitch.module.css";
import { liveOf, targetQuery } from "./tokens";
import type { Cut } from "./Watch";
import { plural } from "./words";

type Props = { target: Target; onCut: (cut: Cut) => void };

// Strike shows what hangs on a target, and does to it what is chosen.
export function Strike({ target, onCut }: Props) {
  const deeds = deedsOf(target);
  const [chosen, setChosen] = useState(deeds[0]?.id ?? "");
  const [asking, setAsking] = useState(false);
  const deed = deeds.find((d) => d.id === chosen) ?? deeds[0];
  return (
    <>
      {target.kind !== "token" && <Affected target={target} />}
      {deed === undefined && <p>It is decommissioned: it has no live token, and obtains none.</p>}
      {deed && (
        <>
          {deeds.length > 1 && <Options label="How" value={deed.id} options={deeds} onChange={setChosen} />}
          <div>
            <Button tone="danger" onPress={() => setAsking(true)}>
              {deed.name}…
            </Button>
          </div>
          {asking && <Ask target={target} deed={deed} onCut={onCut} onClose={() => setAsking(false)} />}
        </>
      )}
    </>
  );
}

type AskProps = Props & { deed: Deed; reason?: string; onClose: () => void };

// Ask names what dies and what stays, and takes the name of the target, or the beginning of it, as the confirmation.
export function Ask({ target, deed, reason = "", onCut, onClose }: AskProps) {
  const client = useQueryClient();
  const label = labelOf(target);
  const preview = useQuery(targetQuery(target)).data;
  const mutation = useMutation({
    mutationFn: async (why: string) => {
      const feed = client.getQueryData<Feed>(revocationsQuery.queryKey);
      const made = await deed.run(why);
      const entry = isEntry(made) ? made : undefined;
      onCut({
        label,
        done: deed.done,
        at: entry?.at ?? new Date().toISOString(),
        named: entryOf(target),
        ...(entry ? { seq: entry.seq } : { before: seqOf(feed?.cursor) }),
        ...(target.kind === "agent" && deed.id === "suspend" && { reactivate: target.agent.agentId }),
      });
    },
  });
  return (
    <Confirm
      title={`${deed.name}: ${label}`}
      consequences={<Consequences target={target} deed={deed} live={preview && liveOf(preview)} />}
      phrase={phraseOf(target)}
      reason={reason}
      action={deed.name}
      onConfirm={mutation.mutateAsync}
      onClose={onClose}
    />
  );
}

const isEntry = (made: unknown): made is Schema["RevocationEntry"] =>
  typeof made === "object" && made !== null && "seq" in made;

type ConsequencesProps = { target: Target; deed: Deed; live: string | undefined };

function Consequences({ target, deed, live }: ConsequencesProps) {
  const { agentId } = useIdentity();
  const mine = (target.kind === "agent" || target.kind === "credential") && target.agent.agentId === agentId;
  return (
    <>
      <p>
        <strong>This dies{live && ` (${live})`}</strong>
      </p>
      <ul>
        {deed.dies.map((text) => (
          <li key={text}>{text}</li>
        ))}
        {mine && <li className={css.mine}>your own session: this is the agent you are signed in as</li>}
      </ul>
      <p>
        <strong>This stays</strong>
      </p>
      <ul>
        {deed.stays.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </>
  );
}

// Affected is what hangs on the target now.
function Affected({ target }: { target: Exclude<Target, { kind: "token" }> }) {
  const preview = useQuery(targetQuery(target));
  const facts: [string, ReactNode][] = [];
  if (target.kind === "agent" || target.kind === "credential") {
    facts.push(["Agent", <AgentState key="a" agent={target.agent} />]);
  }
  if (target.kind === "credential") facts.push(["Credential", <Badge key="c">{target.credential.status}</Badge>]);
  if (target.kind === "key") facts.push(["Key", <Badge key="k">{target.key.status}</Badge>]);
  if (target.kind === "organization") facts.push(["Organization", target.organization.name]);
  const told = (word: (p: Schema["RevocationPreview"]) => string) =>
    preview.data ? word(preview.data) : preview.isError ? asProblem(preview.error).message : "…";
  facts.push(["Live tokens", told(liveOf)]);
  if (target.kind === "organization" || target.kind === "key") {
    facts.push(["Of", told((p) => `${plural(p.agents, "agent")} with ${plural(p.credentials, "live credential")}`)]);
  }
  if (target.kind === "agent") facts.push(["Credentials", told((p) => plural(p.credentials, "live credential"))]);
  facts.push(["Sidecars", told((p) => `${plural(p.sidecars, "connected sidecar")} to confirm it`)]);
  return (
    <section className={css.affected} aria-label="What hangs on it">
      <Facts facts={facts} />
    </section>
  );
}

function AgentState({ agent }: { agent: Schema["Agent"] }) {
  return (
    <>
      {agent.email} <Badge>{agent.status}</Badge>
    </>
  );
}
