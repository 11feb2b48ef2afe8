import type { ReactNode } from "react";
import type { Schema } from "../../api/client";
import { CopyButton } from "../../components/copy";
import { Badge } from "../../components/layout";
import { Time } from "../../components/Time";
import css from "./keys.module.css";

type Key = Schema["Key"];

// What a key does now, in words that need no knowledge of the states' names.
const words = { next: "next", active: "active", retired: "verify-only" } as const;
const tones = { next: "neutral", active: "good", retired: "warn" } as const;
const does = {
  next: "is published, and does not sign yet",
  active: "signs every token",
  retired: "verifies the tokens it signed",
} as const;

const signs = { next: "signs from", active: "signs since", retired: "signed since" } as const;

// KeyLife shows a key on its way: next, active, verify-only, gone.
export function KeyLife({ of: k }: { of: Key }) {
  const steps: [name: string, at: string | undefined, past: boolean, unknown: string][] = [
    ["published", k.createdAt, true, ""],
    [signs[k.status], k.activatedAt ?? k.activateAt, k.status !== "next", ""],
    ["only verifies from", k.retiredAt ?? k.rotateAt, k.status === "retired", "when another signs"],
    ["leaves the JWKS", k.leavesAt, false, "2 hours after that"],
  ];
  return (
    <li className={css.key}>
      <div className={css.head}>
        <Badge tone={tones[k.status]}>{words[k.status]}</Badge>
        <code className={css.kid}>{k.kid}</code>
        <CopyButton text={k.kid} label={`Copy kid ${k.kid.slice(0, 8)}`} />
        <span className={`muted ${css.does}`}>
          {does[k.status]} · {k.alg}, {k.bits} bits · made <Time at={k.createdAt} as="ago" />
        </span>
      </div>
      <ol className={css.steps}>
        {steps.map(([name, at, past, unknown]) => (
          <li key={name} className={past ? css.past : ""}>
            <span className={css.step}>{name}</span>
            <When at={at} unknown={unknown} />
          </li>
        ))}
      </ol>
    </li>
  );
}

function When({ at, unknown }: { at: string | undefined; unknown: string }): ReactNode {
  return at === undefined ? <span className="muted">{unknown}</span> : <Time at={at} />;
}
