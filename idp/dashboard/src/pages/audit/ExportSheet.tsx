import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { keysQuery } from "../../api/queries";
import { AgentName } from "../../components/AgentName";
import { count } from "../../components/charts";
import { Button, Choice } from "../../components/controls";
import { Value } from "../../components/copy";
import { Buttons, Sheet } from "../../components/dialogs";
import { Result } from "../../components/Result";
import { ProblemCard } from "../../components/states";
import { Time } from "../../components/Time";
import { useCan } from "../../session/useSession";
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
          {format === "ndjson" && <HowToVerify />}
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

const proof = (all: boolean) =>
  `The file proves ${all ? "itself" : "that each event in it is in the log, unaltered; not that none was left out"}.`;

// HowToVerify is the line that checks the file, with the log's key in it for those who may see that.
function HowToVerify() {
  const key = useQuery({ ...keysQuery, enabled: useCan("keys:read") }).data?.verifierKey;
  return (
    <>
      <p>Check it anywhere, without the IdP and this browser:</p>
      <Value text={`agentidp audit verify --export audit.ndjson --key ${key ?? "KEY"}`} name="the line that verifies" />
      <p>
        {key === undefined && "KEY is the log’s key: whoever has keys:read finds it on the page Keys. "}
        After <code>make up</code> the program is <code>bin/agentidp</code>.
      </p>
    </>
  );
}

function Scope({ agentId, targetAgentId, action, outcome, q, from, to }: Filter) {
  const narrowed: [name: string, value: ReactNode][] = [
    ["by", agentId && <AgentName agentId={agentId} />],
    ["done to", targetAgentId && <AgentName agentId={targetAgentId} />],
    ["of action", action && <code>{action}</code>],
    ["of outcome", outcome && <code>{outcome}</code>],
    ["that hold", q && <code>{q}</code>],
    ["from", from && <Time at={from} />],
    ["before", to && <Time at={to} />],
  ];
  const said = narrowed.filter(([, value]) => value);
  return (
    <p>
      {said.length === 0 ? "Every event that you may see" : "Events "}
      {said.map(([name, value], i) => (
        <span key={name}>
          {i > 0 && ", "}
          {name} {value}
        </span>
      ))}
      , oldest first, up to the latest checkpoint.
    </p>
  );
}

const sized = (unit: string) => new Intl.NumberFormat(undefined, { style: "unit", unit, maximumFractionDigits: 1 });
const [kilobytes, megabytes] = [sized("kilobyte"), sized("megabyte")];
const size = (bytes: number) => (bytes < 1e6 ? kilobytes.format(bytes / 1e3) : megabytes.format(bytes / 1e6));
const sum = ({ bytes, events }: Saved) =>
  `${count.format(events)} ${events === 1 ? "event" : "events"}, ${size(bytes)}`;
