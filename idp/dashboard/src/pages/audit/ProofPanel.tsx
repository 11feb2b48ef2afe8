import { useQuery } from "@tanstack/react-query";
import { Button } from "../../components/controls";
import { Panel } from "../../components/layout";
import { Result } from "../../components/Result";
import { Loading, ProblemCard } from "../../components/states";
import { Against } from "./Against";
import css from "./audit.module.css";
import { Forget } from "./Forget";
import { Refuted, toHex } from "./merkle";
import { proveEvent, Uncovered } from "./prove";

const signedEvery = 3000; // ms between looks for a checkpoint that covers the event

// ProofPanel proves in the browser that an event is in the log, and says what that
// means. The check runs when the event is opened.
export function ProofPanel({ eventId }: { eventId: string }) {
  const proof = useQuery({
    queryKey: ["audit", "proof", eventId],
    queryFn: ({ signal }) => proveEvent(eventId, signal),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: (query) => (query.state.error instanceof Uncovered ? signedEvery : false),
  });
  return (
    <Panel title="Proof" width="half" note="computed in this browser">
      {proof.isPending || (proof.isFetching && !(proof.error instanceof Uncovered)) ? (
        <Loading lines={6} />
      ) : (
        <div className={css.stack}>
          <Outcome proof={proof} />
          <div>
            <Button small onPress={() => void proof.refetch()}>
              Check again
            </Button>
          </div>
        </div>
      )}
    </Panel>
  );
}

function Outcome({
  proof: { data, error, refetch },
}: {
  proof: ReturnType<typeof useQuery<Awaited<ReturnType<typeof proveEvent>>>>;
}) {
  if (error instanceof Uncovered)
    return (
      <Result tone="warn" title="Not signed yet">
        <p>
          No checkpoint covers this event so far. The IdP signs one at least every 10 seconds; this page waits for it.
        </p>
      </Result>
    );
  if (error instanceof Refuted)
    return (
      <Result tone="bad" title="Not proven">
        <p>The check failed: {error.message}.</p>
        <p>
          Keep this page and the log as they are, and verify the log with checkpoints kept elsewhere: agentidp audit
          verify.
        </p>
        <Forget onForgotten={() => void refetch()} />
      </Result>
    );
  if (error) return <ProblemCard error={error} onRetry={() => void refetch()} />;
  if (!data) return null;
  const { anchor, sequence, leaf, hashes } = data;
  const signed = "by" in anchor.signature;
  return (
    <Result
      tone={signed ? "good" : "warn"}
      title={
        signed
          ? "Proven: this event is in the log, unaltered"
          : "In the tree of a checkpoint whose signature was not checked"
      }
    >
      <ul className={css.steps}>
        <li>
          Event: its bytes hash to leaf {sequence}, <code className={css.long}>{toHex(leaf)}</code>.
        </li>
        <li>
          Root: with the {hashes} hashes of the proof the leaf gives{" "}
          <code className={css.long}>{toHex(anchor.checkpoint.root)}</code>, the root that the checkpoint names.
        </li>
      </ul>
      <Against anchor={anchor} />
    </Result>
  );
}
