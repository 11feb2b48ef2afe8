import type { Schema } from "../../api/client";

// The actions of the log, as docs/audit.md tells them.
export const actions = [
  "agent.created",
  "agent.updated",
  "agent.suspended",
  "agent.reactivated",
  "agent.decommissioned",
  "credential.created",
  "credential.rotated",
  "credential.revoked",
  "credential.imported",
  "credential.upgraded",
  "credential.expiring",
  "token.issued",
  "token.refused",
  "token.revoked",
  "revocation.created",
  "decision.allowed",
  "decision.denied",
  "decision.error",
  "decision.gap",
  "request.denied",
  "request.unauthenticated",
  "request.rate_limited",
  "organization.created",
  "organization.updated",
  "key.created",
  "key.imported",
  "key.scheduled",
  "key.activated",
  "key.removed",
  "policy.reloaded",
  "audit.exported",
  "audit.pruned",
  "administrator.bootstrapped",
  "administrator.reset",
  "store.restored",
] as const;

export const outcomes = ["success", "failure", "denied"] as const;

// what words an event in one line, from what its metadata says of it.
export function what(event: Schema["AuditEvent"]): string {
  const m = (event.metadata ?? {}) as Record<string, unknown>;
  const said = (name: string) => (typeof m[name] === "string" ? m[name] : undefined);
  const request = said("path") && `${said("method") ?? ""} ${said("path")}`.trim();
  return (
    request ??
    said("scope") ??
    said("operation") ??
    said("email") ??
    said("clientId") ??
    said("kid") ??
    said("format") ??
    said("reason") ??
    ""
  );
}
