import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { answer, api, type Schema } from "../../api/client";
import { Json } from "../../components/Json";
import { Facts } from "../../components/layout";
import { Result } from "../../components/Result";
import { Await } from "../../components/states";
import css from "./policies.module.css";
import type { Input } from "./question";
import { explain } from "./words";

type Props = { agent: UseQueryResult<Schema["Agent"]>; inputsOf: (agent: Schema["Agent"]) => Input[] };

// Decision shows what the policy says to one request: allowed if all its answers are.
export function Decision({ agent, inputsOf }: Props) {
  return (
    <div className={css.decision}>
      <Await query={agent} lines={4}>
        {(a) => <Asked agent={a} inputs={inputsOf(a)} />}
      </Await>
    </div>
  );
}

function Asked({ agent, inputs }: { agent: Schema["Agent"]; inputs: Input[] }) {
  const decisions = useQuery({
    queryKey: ["policies", "evaluate", inputs],
    queryFn: ({ signal }) =>
      Promise.all(inputs.map((body) => answer(api.POST("/api/v1/policies/evaluate", { body, signal })))),
    staleTime: 10_000,
  });
  return (
    <Await query={decisions} lines={4}>
      {(answers) => (
        <>
          <Verdict agent={agent} inputs={inputs} answers={answers} />
          <details className={css.more}>
            <summary>What was asked</summary>
            <Json value={inputs.length === 1 ? inputs[0] : inputs} label="input" />
          </details>
        </>
      )}
    </Await>
  );
}

type VerdictProps = { agent: Schema["Agent"]; inputs: Input[]; answers: Schema["PolicyDecision"][] };

function Verdict({ agent, inputs, answers }: VerdictProps) {
  const at = answers.findIndex((a) => !a.allow);
  const decisive = answers[at] ?? answers[0];
  const input = inputs[at] ?? inputs[0];
  if (!decisive || !input) return null;
  const allow = at < 0;
  return (
    <Result tone={allow ? "good" : "bad"} title={allow ? "Allowed" : "Denied"}>
      <p>{explain(decisive.reason)}</p>
      {agent.status !== "active" && (
        <p>
          <strong>The agent is {agent.status}: it has no token to ask with, whatever the policy says.</strong>
        </p>
      )}
      <Facts
        facts={[
          ["Reason", <code key="r">{decisive.reason}</code>],
          ["Demanded", <code key="d">{inputs.map((i) => i.route.capability).join(" and ")}</code>],
          ["Scope", <code key="s">{input.token?.scope?.join(" ") || "none"}</code>],
          ...(decisive.obligations && Object.keys(decisive.obligations).length > 0
            ? [["Provided that", <code key="o">{JSON.stringify(decisive.obligations)}</code>] as [string, ReactNode]]
            : []),
          ...(decisive.error ? [["Error", decisive.error] as [string, ReactNode]] : []),
          ["Revision", <code key="v">{decisive.revision.slice(0, 12)}</code>],
          ["Took", `${decisive.durationMs.toFixed(2)} ms`],
        ]}
      />
    </Result>
  );
}
