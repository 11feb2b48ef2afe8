import type { ReactNode } from "react";
import type { Problem } from "../../api/problem";
import { Choice, Field } from "../../components/controls";
import { daysOf, planOf, plans, secondsOf } from "./words";

// Draft is what people decide about an organization, as they type it.
export type Draft = { name: string; plan: (typeof plans)[number]; days: string };

export const draftOf = (o?: { name: string; plan: Draft["plan"]; maxCredentialAge: number }): Draft =>
  o ? { name: o.name, plan: o.plan, days: daysOf(o.maxCredentialAge) } : { name: "", plan: "free", days: "0" };

// bodyOf is a draft as the API takes it; undefined while it cannot be sent.
export function bodyOf({ name, plan, days }: Draft) {
  const maxCredentialAge = secondsOf(days);
  return name === "" || maxCredentialAge === undefined ? undefined : { name, plan, maxCredentialAge };
}

// ruleFor is what the API demands of a field that it refused.
export const ruleFor = (problem: Problem | undefined, field: string): string | undefined =>
  problem?.fields.find((f) => f.field === field)?.rule;

const known = ["name", "organizationId", "administratorEmail", "maxCredentialAge"];

// placed reports whether every rule that a draft broke stands at a field.
export const placed = (problem: Problem): boolean =>
  problem.fields.length > 0 && problem.fields.every((f) => known.includes(f.field));

type Props = {
  draft: Draft;
  problem: Problem | undefined;
  change: (members: Partial<Draft>) => void;
  children?: ReactNode; // after the name: what only a new one has
};

// OrganizationFields are for a new organization and for the change of one.
export function OrganizationFields({ draft, problem, change, children }: Props) {
  const wrong = secondsOf(draft.days) === undefined ? "a whole number of days" : ruleFor(problem, "maxCredentialAge");
  return (
    <>
      <Field
        label="Name"
        value={draft.name}
        onChange={(name) => change({ name })}
        error={ruleFor(problem, "name")}
        autoFocus
      />
      {children}
      <Choice
        label="Plan"
        value={draft.plan}
        options={plans}
        text={(p) => planOf[p].split(":")[0] ?? p}
        onChange={(plan) => plan && change({ plan })}
      />
      <p className="muted">{planOf[draft.plan]}</p>
      <Field
        label="Age of secrets, in days"
        hint="How long a client secret is good after it was made or rotated. 0: no limit."
        inputMode="numeric"
        value={draft.days}
        onChange={(days) => change({ days })}
        error={wrong}
      />
    </>
  );
}
