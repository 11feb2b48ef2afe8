export const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] as const;
export const places = ["sidecar", "management"] as const; // where the request would arrive
export const protocols = ["mcp", "a2a"] as const;

export type Place = (typeof places)[number];
export type Method = (typeof methods)[number];
export type Protocol = (typeof protocols)[number];

const reasons: Record<string, string> = {
  public: "The route lets anyone through.",
  capability: "The token’s scope covers the capability.",
  self: "It is a right that every agent has over itself.",
  capability_missing: "Nothing in the token’s scope covers the capability.",
  policy_error: "The policy failed, and what fails denies.",
  policy_timeout: "The policy took too long, and what takes too long denies.",
};

// explain words the reasons of the built-in policy; others are their author's.
export const explain = (reason: string): string => reasons[reason] ?? "The policy in force gives this reason.";
