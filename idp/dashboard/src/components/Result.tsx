import type { ReactNode } from "react";
import css from "./Result.module.css";

const marks = { good: "✓", warn: "!", bad: "✗" };

type Props = { tone: keyof typeof marks; title: string; children?: ReactNode };

// Result is the plain word of a check or trial, and under it what it rests on.
export function Result({ tone, title, children }: Props) {
  return (
    <div role={tone === "bad" ? "alert" : "status"} className={`${css.result} ${css[tone]}`}>
      <p className={css.title}>
        <span aria-hidden="true">{marks[tone]}</span>
        <span>{title}</span>
      </p>
      {children}
    </div>
  );
}
