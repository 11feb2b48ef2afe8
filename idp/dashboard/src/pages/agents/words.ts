export const sorts = ["createdAt", "email", "-email"] as const; // newest first without
export const statuses = ["active", "suspended", "decommissioned"] as const;
export const environments = ["development", "staging", "production"] as const;
export const agentTypes = [
  "screener",
  "classifier",
  "orchestrator",
  "extractor",
  "summarizer",
  "router",
  "monitor",
  "custom",
  "administrator",
  "sidecar",
] as const;
