export const kinds = ["agent", "credential", "organization", "token", "key"] as const;
export type Kind = (typeof kinds)[number];

// typeOf is what the API calls a kind of thing that can be revoked.
export const typeOf = {
  agent: "agent",
  credential: "credential",
  organization: "organization",
  token: "jti",
  key: "kid",
} as const;

export const nameOf: Record<string, string> = {
  agent: "agent",
  credential: "credential",
  organization: "organization",
  jti: "token",
  kid: "key",
};

// whyOf words the reason of an entry of the feed.
export const whyOf: Record<string, string> = {
  revoked: "cut off by hand",
  agent_suspended: "agent suspended",
  agent_decommissioned: "agent decommissioned",
  capability_removed: "capability removed",
  credential_revoked: "credential revoked",
  credential_rotated: "secret rotated",
};

// plural counts things in words.
export const plural = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
