import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { answer, api, type Schema } from "../../api/client";
import { sidecarsQuery } from "../../api/queries";
import { revocationsQuery } from "../../api/revocations";
import { AgentName } from "../../components/AgentName";
import { Button } from "../../components/controls";
import { Badge, Panel } from "../../components/layout";
import { ProblemCard } from "../../components/states";
import { Time } from "../../components/Time";
import { type Confirmation, confirmations, entryAfter } from "./confirmations";
import css from "./killswitch.module.css";
import { plural } from "./words";

// Cut is what was done, and how the feed names it.
export type Cut = {
  label: string;
  done: string;
  at: string;
  named: { type: Schema["RevocationEntry"]["type"]; id: string };
  seq?: number; // of its entry
  before?: number; // without seq: where the feed was before
  reactivate?: string; // the agent that can be reactivated
};

const eager = 3000; // ms between looks, while sidecars are awaited
const hurry = 120_000; // ms for which it looks so often

// Watch shows when each sidecar has confirmed a cut.
export function Watch({ cut, onClose }: { cut: Cut; onClose: () => void }) {
  const began = useRef(Date.now());
  const [settled, setSettled] = useState(false);
  const pace = () => (!settled && Date.now() - began.current < hurry ? eager : 15_000);
  const feed = useQuery({ ...revocationsQuery, refetchInterval: pace });
  const sidecars = useQuery({ ...sidecarsQuery, refetchInterval: pace });
  const seq = cut.seq ?? entryAfter(feed.data?.entries ?? [], cut.named, cut.before ?? 0)?.seq;
  const list = seq !== undefined && sidecars.data ? confirmations(sidecars.data.data, seq) : undefined;
  const times = useFirstSeen(list);
  const waiting = list?.filter((c) => c.state === "waiting").length;
  const confirmed = list?.filter((c) => c.state === "confirmed").length ?? 0;
  useEffect(() => setSettled(waiting === 0), [waiting]);
  return (
    <Panel
      title="What was cut off"
      note={
        <Button small onPress={onClose}>
          Close
        </Button>
      }
    >
      <div className={css.form}>
        <p>
          <strong className={css.name}>{cut.label}</strong> {cut.done} <Time at={cut.at} />. The IdP refuses it from
          then on.
        </p>
        <p role="status">
          {list === undefined ? "Waiting for the revocation feed…" : progress(confirmed, waiting ?? 0)}
        </p>
        {list && list.length > 0 && (
          <ul className={css.confirmations}>
            {list.map((c) => (
              <li key={c.sidecar.agentId + c.sidecar.sidecarId}>
                <span className={css.name}>{c.sidecar.name ?? <AgentName agentId={c.sidecar.agentId} />}</span>
                <State confirmation={c} at={times[c.sidecar.sidecarId]} cutAt={cut.at} />
              </li>
            ))}
          </ul>
        )}
        {cut.reactivate && <Reactivate agentId={cut.reactivate} onDone={onClose} />}
      </div>
    </Panel>
  );
}

function progress(confirmed: number, waiting: number): string {
  if (waiting > 0) return `${confirmed} of ${plural(confirmed + waiting, "connected sidecar")} confirmed it…`;
  if (confirmed === 0) return "No sidecar is connected to confirm it.";
  return confirmed === 1 ? "The connected sidecar confirmed it." : `All ${confirmed} connected sidecars confirmed it.`;
}

// useFirstSeen keeps by when each sidecar had confirmed: what the API says later
// is about later entries.
function useFirstSeen(list: Confirmation[] | undefined): Record<string, string> {
  const times = useRef<Record<string, string>>({});
  for (const { sidecar, by } of list ?? []) if (by !== undefined) times.current[sidecar.sidecarId] ??= by;
  return times.current;
}

type StateProps = { confirmation: Confirmation; at: string | undefined; cutAt: string };

function State({ confirmation: { state, sidecar }, at, cutAt }: StateProps) {
  switch (state) {
    case "confirmed":
      return (
        <span>
          <Badge tone="good">confirmed</Badge>{" "}
          {at && (
            <span className="muted">
              <Time at={at} />, {seconds(cutAt, at)}
            </span>
          )}
        </span>
      );
    case "waiting":
      return (
        <span>
          <Badge tone="warn">waiting</Badge>{" "}
          <span className="muted">
            seen <Time at={sidecar.seenAt} as="ago" />
          </span>
        </span>
      );
    case "away":
      return (
        <span>
          <Badge tone="bad">away</Badge>{" "}
          <span className="muted">
            since <Time at={sidecar.seenAt} as="ago" />: it refuses everything once its copy of the feed is too old
          </span>
        </span>
      );
  }
}

// seconds words how long a confirmation took; the clocks of two programs may differ a little.
function seconds(from: string, to: string): string {
  const took = (Date.parse(to) - Date.parse(from)) / 1000;
  return took < 0.1 ? "at once" : `after ${took.toFixed(1)} s`;
}

type ReactivateProps = { agentId: string; onDone?: () => void };

// Reactivate undoes a suspension: new tokens are good again, those that died stay dead.
export function Reactivate({ agentId, onDone }: ReactivateProps) {
  const mutation = useMutation({
    mutationFn: () =>
      answer(api.PATCH("/api/v1/agents/{agentId}", { params: { path: { agentId } }, body: { status: "active" } })),
    onSuccess: () => onDone?.(),
  });
  return (
    <div>
      <Button small isDisabled={mutation.isPending} onPress={() => mutation.mutate()}>
        {mutation.isPending ? "Reactivating…" : "Reactivate"}
      </Button>
      {mutation.isError && <ProblemCard error={mutation.error} />}
    </div>
  );
}
