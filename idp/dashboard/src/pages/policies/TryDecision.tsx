import { useQueries, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Form } from "react-aria-components";
import { agentQuery } from "../../api/queries";
import { AgentPicker } from "../../components/AgentPicker";
import { Button, Choice, Field } from "../../components/controls";
import { Panel } from "../../components/layout";
import { present } from "../../components/search";
import { Decision } from "./Decision";
import { allowedQuery, deniedQuery, operationsQuery, seenRoutes } from "./operations";
import css from "./policies.module.css";
import { type Asked, inputsOf, targetOf } from "./question";
import { methods, places, protocols } from "./words";

const route = getRouteApi("/policies");
const placeNames = { sidecar: "an API behind a sidecar", management: "the management API" };

// TryDecision asks the policy in force about a request that nobody sends. What is
// asked stands in the URL.
export function TryDecision() {
  const { q: _, ...asked } = route.useSearch();
  const navigate = route.useNavigate();
  const [draft, setDraft] = useState<Asked>(asked);
  const url = JSON.stringify(asked);
  useEffect(() => setDraft(JSON.parse(url) as Asked), [url]);
  const known = useKnown(draft.at);
  const target = targetOf(draft, known);
  const ready = draft.agentId !== undefined && target !== undefined && (!draft.protocol || !!draft.rpc);
  const set = (members: Asked) => setDraft((old) => present({ ...old, ...members }) as Asked);
  const write = (name: keyof Asked) => (text: string) => set({ [name]: text.trim() || undefined } as Asked);
  return (
    <Panel title="Try a decision" note="changes nothing">
      <Form
        className={css.form ?? ""}
        onSubmit={(e) => {
          e.preventDefault();
          if (ready) void navigate({ search: (old) => ({ ...present({ q: old.q }), ...draft }), resetScroll: false });
        }}
      >
        <div className={css.fields}>
          <AgentPicker label="Agent" value={draft.agentId} onChange={(agentId) => set({ agentId } as Asked)} />
          <Choice
            label="Calls"
            value={draft.at ?? "sidecar"}
            options={places}
            text={(p) => placeNames[p]}
            onChange={(at) => set({ at } as Asked)}
          />
          <Choice
            label="Method"
            value={draft.method ?? "GET"}
            options={methods}
            onChange={(method) => set({ method } as Asked)}
          />
          <Field label="Path" mono value={draft.path ?? ""} onChange={write("path")} hint={hint(draft, target)} />
        </div>
        {draft.at !== "management" && <Behind draft={draft} target={target} write={write} set={set} />}
        <div className={css.submit}>
          <Button type="submit" tone="primary" isDisabled={!ready}>
            Decide
          </Button>
        </div>
      </Form>
      {asked.agentId !== undefined && <Answer asked={asked as Asked} />}
    </Panel>
  );
}

type BehindProps = {
  draft: Asked;
  target: { id: string; capability: string } | undefined;
  write: (name: keyof Asked) => (text: string) => void;
  set: (members: Asked) => void;
};

// Behind is what only a sidecar knows: its route, and the message in the body.
function Behind({ draft, target, write, set }: BehindProps) {
  return (
    <div className={css.fields}>
      <Field
        label="Route"
        mono
        value={draft.route ?? ""}
        placeholder={target?.id ?? "/notes/{id}"}
        onChange={write("route")}
      />
      <Field
        label="Capability it demands"
        mono
        value={draft.capability ?? ""}
        placeholder={target?.capability ?? "notes:read"}
        onChange={write("capability")}
      />
      <Choice
        label="Message in the body"
        all="none"
        value={draft.protocol}
        options={protocols}
        text={(p) => p.toUpperCase()}
        onChange={(protocol) => set({ protocol } as Asked)}
      />
      {draft.protocol && (
        <>
          <Field label="Its method" mono value={draft.rpc ?? ""} placeholder="tools/call" onChange={write("rpc")} />
          <Field label="Tool or prompt" mono value={draft.name ?? ""} placeholder="search" onChange={write("name")} />
          <Field
            label="Capability it needs besides"
            mono
            value={draft.demand ?? ""}
            placeholder="mcp:tool/search"
            onChange={write("demand")}
          />
        </>
      )}
    </div>
  );
}

function hint(asked: Asked, target: { id: string; capability: string } | undefined): string {
  if (!asked.path) return "without the query";
  if (target) return `${target.id} demands ${target.capability}`;
  return asked.at === "management"
    ? "no operation has this method and path"
    : "not seen in recent decisions: say route and capability";
}

// useKnown is the operations of the place that a request goes to.
function useKnown(at: Asked["at"]) {
  const operations = useQuery(operationsQuery).data ?? [];
  const [allowed, denied] = useQueries({ queries: [allowedQuery, deniedQuery] });
  return at === "management" ? operations : seenRoutes([...(allowed.data?.data ?? []), ...(denied.data?.data ?? [])]);
}

function Answer({ asked }: { asked: Asked }) {
  const agent = useQuery(agentQuery(asked.agentId ?? ""));
  const target = targetOf(asked, useKnown(asked.at));
  if (!target) return null;
  return <Decision agent={agent} inputsOf={(a) => inputsOf(asked, a, target)} />;
}
