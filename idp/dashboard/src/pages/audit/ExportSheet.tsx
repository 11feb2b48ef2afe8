import { useEffect, useRef, useState } from "react";
import { count } from "../../components/charts";
import { Button, Choice } from "../../components/controls";
import { Buttons, Sheet } from "../../components/dialogs";
import { Result } from "../../components/Result";
import { ProblemCard } from "../../components/states";
import { Time } from "../../components/Time";
import { type Filter, type Format, openSink, type Saved, saveExport } from "./exporting";
import { Progress } from "./Progress";

const media: Record<Format, string> = { ndjson: "application/x-ndjson", csv: "text/csv" };
const names: Record<Format, string> = { ndjson: "NDJSON, which can be verified", csv: "CSV, for spreadsheets" };

type State =
  | { step: "ready" }
  | { step: "running"; saved: Saved }
  | { step: "done"; saved: Saved }
  | { step: "failed"; error: unknown };

type Props = { filter: Filter; onClose: () => void };

// ExportSheet saves what the filters of the page leave. To close it is to stop.
export function ExportSheet({ filter, onClose }: Props) {
  const [format, setFormat] = useState<Format>("ndjson");
  const [state, setState] = useState<State>({ step: "ready" });
  const running = useRef<AbortController>(null);
  useEffect(() => () => running.current?.abort(), []);
  const all = Object.values(filter).every((v) => v === undefined);

  async function run() {
    const stop = new AbortController();
    running.current = stop;
    try {
      const sink = await openSink(`audit.${format}`, media[format]);
      setState({ step: "running", saved: { bytes: 0, events: 0 } });
      const told = (saved: Saved) => !stop.signal.aborted && setState({ step: "running", saved });
      const saved = await saveExport(format, filter, sink, told, stop.signal);
      setState({ step: "done", saved });
    } catch (error) {
      const away = error instanceof DOMException && error.name === "AbortError"; // stopped, or no file chosen
      setState(away || stop.signal.aborted ? { step: "ready" } : { step: "failed", error });
    }
  }

  return (
    <Sheet title="Export the log" onClose={onClose}>
      {state.step === "ready" && (
        <>
          <Scope {...filter} />
          <Choice
            label="Format"
            value={format}
            options={["ndjson", "csv"] as const}
            text={(f) => names[f]}
            onChange={(f) => f && setFormat(f)}
          />
          <p className="muted">
            {format === "csv" ? "A spreadsheet proves nothing: take NDJSON for evidence." : proof(all)} The export is an
            event of the log itself.
          </p>
        </>
      )}
      {state.step === "running" && <Progress label="Saving" text={sum(state.saved)} />}
      {state.step === "done" && (
        <Result tone="good" title="Saved, to its end">
          <p>{sum(state.saved)}</p>
        </Result>
      )}
      {state.step === "failed" && <ProblemCard error={state.error} />}
      <Buttons>
        {state.step === "running" ? (
          <Button onPress={() => running.current?.abort()}>Stop</Button>
        ) : (
          <Button onPress={onClose}>Close</Button>
        )}
        {(state.step === "ready" || state.step === "failed") && (
          <Button tone="primary" onPress={() => void run()}>
            {state.step === "ready" ? "Export" : "Try again"}
          </Button>
        )}
      </Buttons>
    </Sheet>
  );
}

const proof = (all: boolean) => (
  <>
    The file proves {all ? "itself" : "that each event in it is in the log, unaltered; not that none was left out"}:{" "}
    <code>agentidp audit verify --export audit.ndjson --key KEY</code> needs neither the IdP nor this browser. KEY is
    the log’s key; the page Keys has it to copy.
  </>
);

function Scope({ from, to, ...exact }: Filter) {
  const words = Object.values(exact).filter((v) => v !== undefined);
  return (
    <p>
      {words.length > 0 ? (
        <>
          Events with <code>{words.join(", ")}</code>
        </>
      ) : (
        "Every event that you may see"
      )}
      {from && (
        <>
          {" "}
          from <Time at={from} />
        </>
      )}
      {to && (
        <>
          {" "}
          before <Time at={to} />
        </>
      )}
      , oldest first, up to the latest checkpoint.
    </p>
  );
}

const size = new Intl.NumberFormat(undefined, { style: "unit", unit: "megabyte", maximumFractionDigits: 2 });
const sum = ({ bytes, events }: Saved) =>
  `${count.format(events)} ${events === 1 ? "event" : "events"}, ${size.format(bytes / 1e6)}`;
