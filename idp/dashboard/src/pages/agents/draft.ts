import type { Schema } from "../../api/client";
import type { Problem } from "../../api/problem";

// Draft is an agent as a form has it: what is JSON to the API is text here.
export type Draft = {
  organizationId: string;
  email: string;
  agentType: Schema["AgentType"];
  version: string;
  owner: string;
  deploymentEnv: Schema["DeploymentEnv"];
  capabilities: string[];
  metadata: string;
  jwks: string;
  jwksUri: string;
};

export type Errors = Partial<Record<keyof Draft, string>>;

export const blank: Draft = {
  organizationId: "",
  email: "",
  agentType: "custom",
  version: "1.0.0",
  owner: "",
  deploymentEnv: "development",
  capabilities: [],
  metadata: "",
  jwks: "",
  jwksUri: "",
};

// example is the agent of `make demo`, which the notes API of `make up` knows.
export const example: Draft = {
  ...blank,
  email: "screener-001@example.com",
  agentType: "screener",
  owner: "talent-team",
  capabilities: ["notes:read"],
  metadata: '{ "team": "talent" }',
};

export const draftOf = (a: Schema["Agent"]): Draft => ({
  ...a,
  metadata: jsonText(a.metadata),
  jwks: jsonText(a.jwks),
  jwksUri: a.jwksUri ?? "",
});

export const jsonText = (value: unknown): string => (value === undefined ? "" : JSON.stringify(value, null, 2));

// parsed reads a JSON member; nothing is null, which clears it.
export function parsed(text: string): { value: Record<string, unknown> | null } | { error: string } {
  if (text.trim() === "") return { value: null };
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return { value: value as Record<string, unknown> };
    return { error: 'must be an object, like { "team": "talent" }' };
  } catch (e) {
    return { error: `is no JSON: ${e instanceof Error ? e.message : String(e)}` };
  }
}

// newAgent is the body of a registration, or what is wrong with the JSON in it.
// Every other rule is the API's to judge.
export function newAgent(d: Draft): { body: Schema["NewAgent"] } | { errors: Errors } {
  const metadata = parsed(d.metadata);
  const jwks = parsed(d.jwks);
  const errors: Errors = {
    ...("error" in metadata && { metadata: metadata.error }),
    ...("error" in jwks && { jwks: jwks.error }),
  };
  if ("error" in metadata || "error" in jwks) return { errors };
  const { email, agentType, version, owner, deploymentEnv, capabilities } = d;
  return {
    body: {
      email: email.trim(),
      agentType,
      version: version.trim(),
      owner: owner.trim(),
      deploymentEnv,
      capabilities,
      ...(d.organizationId.trim() && { organizationId: d.organizationId.trim() }),
      ...(metadata.value && { metadata: metadata.value }),
      ...(jwks.value && { jwks: jwks.value as Schema["AgentKeys"] }),
      ...(d.jwksUri.trim() && { jwksUri: d.jwksUri.trim() }),
    },
  };
}

// errorsOf are the rules that the API names, by the field that shows them;
// "jwks.keys[0].kid" belongs to its member, "capabilities[2]" is the third of those sent.
export function errorsOf(problem: Problem, sent: readonly string[] = []): Errors {
  const errors: Errors = {};
  const wrong = new Map<string, string[]>(); // capabilities by the rule they break
  for (const { field, rule } of problem.fields) {
    const name = memberOf(field);
    if (name === undefined) continue;
    const capability = sent[indexOf(field) ?? -1];
    if (capability !== undefined) {
      wrong.set(rule, [...(wrong.get(rule) ?? []), capability]);
      continue;
    }
    const text = field === name ? rule : `${field.slice(name.length).replace(/^\./, "")} ${rule}`;
    errors[name] = errors[name] ? `${errors[name]}; ${text}` : text;
  }
  if (wrong.size > 0)
    errors.capabilities = [...wrong].map(([rule, names]) => `${names.join(", ")}: ${rule}`).join("; ");
  if (problem.code === "AGENT_ALREADY_EXISTS") errors.email = problem.message;
  return errors;
}

// wrongCapabilities are those of the sent that the API does not like.
export const wrongCapabilities = (problem: Problem | undefined, sent: readonly string[] = []): string[] =>
  (problem?.fields ?? []).flatMap(({ field }) => sent[indexOf(field) ?? -1] ?? []);

// placed reports that every rule of a refusal stands at a field of the form.
export const placed = (problem: Problem): boolean =>
  problem.fields.length > 0 && problem.fields.every(({ field }) => memberOf(field) !== undefined);

const memberOf = (field: string) => {
  const name = field.replace(/[.[].*$/, "");
  return name in blank ? (name as keyof Draft) : undefined;
};

const indexOf = (field: string): number | undefined => {
  const at = /^capabilities\[(\d+)\]$/.exec(field)?.[1];
  return at === undefined ? undefined : Number(at);
};
