import type { ReactNode } from "react";
import { CopyButton } from "./copy";
import css from "./Json.module.css";

// Json shows a value as text: whatever it holds stays text.
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2);
  return (
    <section className={css.box} aria-label={label}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls (WCAG 2.1.1) */}
      <pre className={css.text} tabIndex={0}>
        {colored(text)}
      </pre>
      <div className={css.copy}>
        <CopyButton text={text} label={`Copy ${label}`} />
      </div>
    </section>
  );
}

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function colored(text: string): ReactNode[] {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const match of text.matchAll(token)) {
    const [whole, quoted, colon] = match;
    parts.push(text.slice(end, match.index));
    const kind = quoted === undefined ? css.literal : colon === undefined ? css.string : css.key;
    parts.push(
      <span key={match.index} className={kind}>
        {whole}
      </span>,
    );
    end = match.index + whole.length;
  }
  parts.push(text.slice(end));
  return parts;
}
