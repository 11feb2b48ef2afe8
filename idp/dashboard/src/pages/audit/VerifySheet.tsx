import { useEffect, useRef, useState } from "react";
import { count } from "../../components/charts";
import { Button } from "../../components/controls";
import { download } from "../../components/copy";
import { Buttons, Sheet } from "../../components/dialogs";
import { Icon } from "../../components/Icon";
import { Result } from "../../components/Result";
import { ProblemCard } from "../../components/states";
import { Against } from "./Against";
import css from "./audit.module.css";
import { Forget } from "./Forget";
import { Refuted } from "./merkle";
import { Progress as Bar } from "./Progress";
import { type Progress, type Verdict, verifyLog } from "./verify";

type State =
  | { step: "ready" }
  | { step: "running"; progress?: Progress }
  | { step: "done"; verdict: Verdict }
  | { step: "failed"; error: unknown };

// VerifySheet reads and recomputes the whole log. To close it is to stop.
export function VerifySheet({ onClose }: { onClose: () => void }) {
  const [state, setState] = useState<State>({ step: "ready" });
  const running = useRef<AbortController>(null);
  useEffect(() => () => running.current?.abort(), []);

  async function run() {
    const stop = new AbortController();
    running.current = stop;
    setState({ step: "running" });
    try {
      const verdict = await verifyLog(
        (progress) => !stop.signal.aborted && setState({ step: "running", progress }),
        stop.signal,
      );
      if (!stop.signal.aborted) setState({ step: "done", verdict });
    } catch (error) {
      if (stop.signal.aborted) setState({ step: "ready" });
      else setState({ step: "failed", error });
    } finally {
      stop.abort(); // what may still be under way
    }
  }

  return (
    <Sheet title="Verify the log" onClose={onClose}>
      {state.step === "ready" && (
        <>
          <p>
            This browser fetches the log up to its latest signed checkpoint, hashes every event, and compares the root
            of the tree that comes out with the one that was signed. Then nobody altered, added or removed an event.
          </p>
          <p className="muted">
            The log records that it was read, as an export. Nothing is kept but the checkpoint. A log of a million
            events takes some minutes.
          </p>
        </>
      )}
      {state.step === "running" && <Running progress={state.progress} />}
      {state.step === "done" && <Done verdict={state.verdict} />}
      {state.step === "failed" && <Failed error={state.error} onForgotten={() => void run()} />}
      <Buttons>
        {state.step === "done" && (
          <Button onPress={() => download("audit.checkpoint", "text/plain", state.verdict.anchor.checkpoint.note)}>
            <Icon name="download" /> Keep the checkpoint
          </Button>
        )}
        {state.step === "running" ? (
          <Button onPress={() => running.current?.abort()}>Stop</Button>
        ) : (
          <Button onPress={onClose}>Close</Button>
        )}
        {state.step !== "running" && (
          <Button tone="primary" onPress={() => void run()}>
            {state.step === "ready" ? "Verify" : "Verify again"}
          </Button>
        )}
      </Buttons>
    </Sheet>
  );
}

function Running({ progress }: { progress: Progress | undefined }) {
  if (!progress) return <Bar label="Asking for the log" />;
  const { done, size } = progress;
  return (
    <Bar
      label="Hashing the log"
      done={done}
      size={size}
      text={`${count.format(done)} of ${count.format(size)} events`}
    />
  );
}

function Done({ verdict: { anchor, events, hidden, organizationId } }: { verdict: Verdict }) {
  const signed = "by" in anchor.signature;
  const whole = hidden === 0;
  return (
    <Result
      tone={signed ? "good" : "warn"}
      title={`${whole ? "The log is intact" : "What you may see of the log is intact"}${signed ? "" : ", if its checkpoint is genuine"}`}
    >
      <ul className={css.steps}>
        <li>
          {whole ? (
            <>
              All {count.format(events)} events were hashed here. Their root is the one that the checkpoint names: none
              was altered, added or removed.
            </>
          ) : events === 0 ? (
            <>
              None of the {count.format(hidden)} events under this checkpoint is one that you may see: they are known by
              hash alone. Yours are newer; verify again when there is another checkpoint.
            </>
          ) : (
            <>
              {count.format(events)} {events === 1 ? "event" : "events"}
              {organizationId && ` of ${organizationId}`} {events === 1 ? "was" : "were"} hashed here and stand in the
              log, unaltered. Another {count.format(hidden)} are known by hash alone:{" "}
              {organizationId ? "those of others, and " : ""}those that retention has taken.
            </>
          )}
        </li>
      </ul>
      <Against anchor={anchor} />
      <p>
        Events since that checkpoint are for the next one. Keep the checkpoint outside this machine: it exposes a log
        that is cut or rewritten later.
      </p>
    </Result>
  );
}

function Failed({ error, onForgotten }: { error: unknown; onForgotten: () => void }) {
  if (!(error instanceof Refuted)) return <ProblemCard error={error} />;
  return (
    <Result tone="bad" title="The log does not verify">
      <p>The check failed: {error.message}.</p>
      <p>Keep the data as it is. agentidp audit verify names the first bad event.</p>
      <Forget onForgotten={onForgotten} />
    </Result>
  );
}
