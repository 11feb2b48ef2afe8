import { type ReactNode, useEffect, useId, useRef } from "react";
import css from "./layout.module.css";

let first = true; // the browser itself places the focus on the first page

type PageProps = {
  title: string;
  heading?: ReactNode; // the title as it is shown, where that is more than its text
  about?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
};

// Page is the frame of every page. It names the document and takes the focus,
// so that a screen reader reads where a link has led.
export function Page({ title, heading = title, about, actions, children }: PageProps) {
  const top = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (!first) top.current?.focus();
    first = false;
  }, []);
  useEffect(() => {
    document.title = `${title} · AgentIdP`;
  }, [title]);
  return (
    <>
      <header className={css.head}>
        <div>
          <h1 ref={top} tabIndex={-1}>
            {heading}
          </h1>
          {about && <p className={css.about}>{about}</p>}
        </div>
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      {children}
    </>
  );
}

export function Grid({ children }: { children: ReactNode }) {
  return <div className={css.grid}>{children}</div>;
}

type PanelProps = {
  title: string;
  note?: ReactNode; // beside the title
  width?: "third" | "half" | "twoThirds"; // in a Grid; default: all of it
  flush?: boolean; // no padding: for tables
  children: ReactNode;
};

// Panel is a titled section.
export function Panel({ title, note, width, flush, children }: PanelProps) {
  const id = useId();
  const names = [css.panel, width && css[width], flush && css.flush].filter(Boolean).join(" ");
  return (
    <section aria-labelledby={id} className={names}>
      <div className={css.panelHead}>
        <h2 id={id}>{title}</h2>
        {note && <div className={css.note}>{note}</div>}
      </div>
      <div className={css.panelBody}>{children}</div>
    </section>
  );
}

// Facts are names and values.
export function Facts({ facts }: { facts: [name: string, value: ReactNode][] }) {
  return (
    <dl className={css.facts}>
      {facts.map(([name, value]) => (
        <FactRow key={name} name={name} value={value} />
      ))}
    </dl>
  );
}

function FactRow({ name, value }: { name: string; value: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

export type Tone = "good" | "warn" | "bad" | "neutral";

const tones: Record<string, Tone> = {
  active: "good",
  ok: "good",
  allowed: "good",
  success: "good",
  connected: "good",
  suspended: "warn",
  degraded: "warn",
  next: "neutral",
  failure: "bad",
  denied: "bad",
  unavailable: "bad",
  revoked: "bad",
};

// Badge is a state; its tone follows from the word unless it is given.
export function Badge({ children, tone }: { children: string; tone?: Tone }) {
  const chosen = tone ?? tones[children] ?? "neutral";
  return <span className={[css.badge, chosen !== "neutral" && css[chosen]].filter(Boolean).join(" ")}>{children}</span>;
}

// Chips are short texts like capabilities.
export function Chips({ items, none = "none" }: { items: readonly string[]; none?: string }) {
  if (items.length === 0) return <span className="muted">{none}</span>;
  return (
    <ul className={css.chips}>
      {items.map((item) => (
        <li key={item}>{item}</li>
      ))}
    </ul>
  );
}

// Filters is a row of fields above a table.
export function Filters({ children }: { children: ReactNode }) {
  return (
    <search className={css.filters} aria-label="filters">
      {children}
    </search>
  );
}
