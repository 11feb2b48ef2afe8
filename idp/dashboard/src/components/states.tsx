import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { asProblem, type Problem } from "../api/problem";
import { Button } from "./controls";
import css from "./states.module.css";
import { Time } from "./Time";

// Loading takes the place of `lines` lines, so that nothing jumps much.
export function Loading({ lines = 3 }: { lines?: number }) {
  return (
    <div role="status" aria-label="loading">
      {Array.from({ length: lines }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: bars have nothing else
        <div key={i} className={css.bar} />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={css.empty} data-empty>
      <p className={css.emptyTitle}>{title}</p>
      {children}
    </div>
  );
}

const titles: Record<number, string> = {
  0: "The IdP does not answer",
  401: "Not signed in",
  403: "Your credential does not allow this",
  404: "There is no such thing",
  429: "Too many requests for now",
  503: "The IdP cannot do this now",
};

// ProblemCard shows a failure with what support needs: code, message, request id.
export function ProblemCard({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem: Problem = asProblem(error);
  const calm = problem.status === 403; // a fact about the reader, no fault
  return (
    <div role={calm ? "note" : "alert"} className={`${css.problem} ${calm ? css.calm : ""}`}>
      <p className={css.problemTitle}>{titles[problem.status] ?? "That did not work"}</p>
      <p>{problem.message}</p>
      {problem.fields.length > 0 && (
        <ul>
          {problem.fields.map((f) => (
            <li key={f.field + f.rule}>
              <code>{f.field}</code> {f.rule}
            </li>
          ))}
        </ul>
      )}
      <p className={css.facts}>
        <span>
          code <code>{problem.code}</code>
        </span>
        {problem.reason && (
          <span>
            reason <code>{problem.reason}</code>
          </span>
        )}
        {problem.needs && (
          <span>
            needs <code>{problem.needs}</code>
          </span>
        )}
        {problem.requestId && (
          <span>
            request <code>{problem.requestId}</code>
          </span>
        )}
      </p>
      {onRetry && !calm && (
        <Button small onPress={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}

// Refusal is a problem under a form: short where every rule stands at its field already.
export function Refusal({ problem, placed }: { problem: Problem; placed: boolean }) {
  if (!placed) return <ProblemCard error={problem} />;
  return (
    <p role="alert" className={css.refused}>
      Not saved: see what the API wants of the fields above.
    </p>
  );
}

type AwaitProps<T> = { query: UseQueryResult<T>; lines?: number; children: (data: T) => ReactNode };

// Await shows a query: loading, its failure, or its data, also when only a
// refresh failed; then it says how old the data is.
export function Await<T>({ query, lines, children }: AwaitProps<T>) {
  if (query.data === undefined) {
    if (query.isError) return <ProblemCard error={query.error} onRetry={() => void query.refetch()} />;
    return lines === undefined ? <Loading /> : <Loading lines={lines} />;
  }
  return (
    <>
      {query.isError && (
        <p role="status" className={css.stale}>
          Not refreshed since <Time at={new Date(query.dataUpdatedAt).toISOString()} />:{" "}
          {asProblem(query.error).message}
        </p>
      )}
      {children(query.data)}
    </>
  );
}
