import { answer, api, done, type Schema } from "../../api/client";

// Target is what is to be cut off, as far as the API knows it.
export type Target =
  | { kind: "agent"; agent: Schema["Agent"] }
  | { kind: "credential"; agent: Schema["Agent"]; credential: Schema["Credential"] }
  | { kind: "organization"; organization: Schema["Organization"] }
  | { kind: "token"; jti: string }
  | { kind: "key"; key: Schema["Key"] };

// Deed is one way to cut something off.
export type Deed = {
  id: string;
  name: string; // on the option and on the button
  about: string;
  done: string; // what was done, after the target's name
  dies: string[];
  stays: string[];
  run: (reason: string) => Promise<unknown>; // "": none was given
};

// labelOf names a target for people.
export function labelOf(target: Target): string {
  switch (target.kind) {
    case "agent":
      return target.agent.email;
    case "credential":
      return target.credential.clientId;
    case "organization":
      return target.organization.organizationId;
    case "token":
      return target.jti;
    case "key":
      return target.key.kid;
  }
}

// phraseOf is what has to be typed before a target is cut off. Of a key's 43 random
// characters the first eight are enough: the title of the question has them all.
export const phraseOf = (target: Target): string =>
  target.kind === "key" ? target.key.kid.slice(0, 8) : labelOf(target);

// entryOf is how the revocation feed names a target: tokens name a credential by its client id.
export function entryOf(target: Target): { type: Schema["RevocationEntry"]["type"]; id: string } {
  switch (target.kind) {
    case "agent":
      return { type: "agent", id: target.agent.agentId };
    case "credential":
      return { type: "credential", id: target.credential.clientId };
    case "organization":
      return { type: "organization", id: target.organization.organizationId };
    case "token":
      return { type: "jti", id: target.jti };
    case "key":
      return { type: "kid", id: target.key.kid };
  }
}

// revoke puts an entry into the feed.
const revoke = (target: Target) => (reason: string) =>
  answer(api.POST("/api/v1/revocations", { body: { ...entryOf(target), reason: reason || "revoked" } }));

// deedsOf lists what can be done to a target, the usual first. Empty: it is dead already.
export function deedsOf(target: Target): Deed[] {
  switch (target.kind) {
    case "agent":
      return agentDeeds(target);
    case "credential":
      return credentialDeeds(target);
    case "organization":
      return [organizationDeed(target)];
    case "token":
      return [
        {
          id: "tokens",
          name: "Revoke the token",
          about: "This one token, wherever it is used.",
          done: "was revoked",
          dies: [`the token ${target.jti}, for good`],
          stays: ["every other token of the same agent, and its credentials"],
          run: revoke(target),
        },
      ];
    case "key":
      return [keyDeed(target)];
  }
}

function agentDeeds(target: Target & { kind: "agent" }): Deed[] {
  const { email, agentId, status } = target.agent;
  if (status === "decommissioned") return [];
  const suspend: Deed = {
    id: "suspend",
    name: "Suspend",
    about: "Its tokens die, and it obtains no others until it is reactivated. This can be undone.",
    done: "was suspended",
    dies: [`every live token of ${email}`, "its right to obtain tokens, until somebody reactivates it"],
    stays: ["its credentials and capabilities: they are good again after it is reactivated"],
    run: (reason) =>
      answer(
        api.PATCH("/api/v1/agents/{agentId}", {
          params: { path: { agentId } },
          body: { status: "suspended", ...(reason && { reason }) },
        }),
      ),
  };
  const tokens: Deed = {
    id: "tokens",
    name: "Kill its live tokens",
    about: "Only these: it may obtain others at once. For a leaked token, not for a leaked secret.",
    done: "lost its live tokens",
    dies: [`every live token of ${email}`],
    stays: ["the agent and its credentials: it may obtain other tokens at once"],
    run: revoke(target),
  };
  const end: Deed = {
    id: "decommission",
    name: "Decommission",
    about: "The end of the agent, its tokens and its credentials. This cannot be undone.",
    done: "was decommissioned",
    dies: [`the agent ${email}, for good`, "every live token of it", "every credential of it"],
    stays: ["its record and its events in the audit log"],
    run: (reason) =>
      done(api.DELETE("/api/v1/agents/{agentId}", { params: { path: { agentId }, query: reason ? { reason } : {} } })),
  };
  return status === "suspended" ? [tokens, end] : [suspend, tokens, end];
}

function credentialDeeds(target: Target & { kind: "credential" }): Deed[] {
  const { agent, credential } = target;
  const path = { agentId: agent.agentId, credentialId: credential.credentialId };
  const tokens: Deed = {
    id: "tokens",
    name: "Kill its live tokens",
    about: "Only these: its secret goes on to obtain others. For a leaked token, not for a leaked secret.",
    done: "lost its live tokens",
    dies: [`every live token that ${credential.clientId} obtained`],
    stays: ["the credential: its secret obtains other tokens at once", `the other credentials of ${agent.email}`],
    run: revoke(target),
  };
  if (credential.status === "revoked") return [tokens];
  const end: Deed = {
    id: "revoke",
    name: "Revoke it with its tokens",
    about: "Its secret obtains nothing any more, and what it obtained dies. This cannot be undone.",
    done: "was revoked with its tokens",
    dies: [`the credential ${credential.clientId}, for good`, "every live token it obtained"],
    stays: [`the agent ${agent.email}, and its other credentials with their tokens`],
    run: (reason) =>
      done(
        api.DELETE("/api/v1/agents/{agentId}/credentials/{credentialId}", {
          params: { path, query: { revokeTokens: true, ...(reason && { reason }) } },
        }),
      ),
  };
  return [end, tokens];
}

function organizationDeed(target: Target & { kind: "organization" }): Deed {
  const { organizationId, name } = target.organization;
  return {
    id: "tokens",
    name: "Kill every live token",
    about: "Of all its agents at once. Each may obtain another with its secret.",
    done: "lost its live tokens",
    dies: [
      `every live token of every agent of ${name} (${organizationId})`,
      "sessions of its people in this dashboard, until they obtain other tokens: that happens by itself",
    ],
    stays: ["its agents and credentials: they may obtain other tokens at once", "every other organization"],
    run: revoke(target),
  };
}

// keyDeed names the key it kills, so that a repetition cannot kill the next one.
export function keyDeed(target: Target & { kind: "key" }): Deed {
  const signs = target.key.status === "active";
  return {
    id: "key",
    name: signs ? "Revoke the key that signs" : "Revoke the key",
    about: signs
      ? "Every token it signed dies, of all agents and organizations. Another key signs from then on."
      : "Every token it signed dies. It is no longer published.",
    done: "was revoked with every token it signed",
    dies: [
      `the signing key ${target.key.kid}, for good`,
      "every live token it signed: of all agents, of all organizations",
      ...(signs ? ["sidecars and dashboards obtain other tokens by themselves; agents must, too"] : []),
    ],
    stays: [
      ...(signs ? ["another key signs at once"] : ["the key that signs, and its tokens"]),
      "agents and credentials: they may obtain other tokens at once",
    ],
    run: revoke(target),
  };
}
