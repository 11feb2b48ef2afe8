import { expect, test } from "vitest";
import type { Schema } from "../../api/client";
import { authorOf } from "./authors";
import { confirmations, entryAfter } from "./confirmations";
import { deedsOf, entryOf, labelOf, phraseOf, type Target } from "./deeds";
import { claimsOf, liveOf } from "./tokens";

const id = "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11";
const agent = { agentId: id, email: "a@b.c", status: "active" } as Schema["Agent"];
const credential = { credentialId: "c", clientId: "aidp_c_1", status: "active" } as Schema["Credential"];
const at = "2026-07-01T12:00:00.000Z";

test("what can be done follows from what the target is and how it stands", () => {
  const ids = (target: Target) => deedsOf(target).map((d) => d.id);
  expect(ids({ kind: "agent", agent })).toEqual(["suspend", "tokens", "decommission"]);
  expect(ids({ kind: "agent", agent: { ...agent, status: "suspended" } })).toEqual(["tokens", "decommission"]);
  expect(ids({ kind: "agent", agent: { ...agent, status: "decommissioned" } })).toEqual([]);
  expect(ids({ kind: "credential", agent, credential })).toEqual(["revoke", "tokens"]);
  expect(ids({ kind: "credential", agent, credential: { ...credential, status: "revoked" } })).toEqual(["tokens"]);
});

test("a target has the name that is typed, and the name that the feed has for it", () => {
  const target: Target = { kind: "credential", agent, credential };
  expect(labelOf(target)).toBe("aidp_c_1");
  expect(entryOf(target)).toEqual({ type: "credential", id: "aidp_c_1" });
  expect(phraseOf(target)).toBe("aidp_c_1");
  expect(entryOf({ kind: "token", jti: id })).toEqual({ type: "jti", id });
});

test("of a key only the beginning is typed, and all of it is cut off", () => {
  const kid = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
  const target: Target = { kind: "key", key: { kid, status: "active" } as Schema["Key"] };
  expect(phraseOf(target)).toBe("NzbLsXh8");
  expect(labelOf(target)).toBe(kid);
  expect(entryOf(target)).toEqual({ type: "kid", id: kid });
});

test("every deed says what dies and what stays, by name", () => {
  const targets: Target[] = [
    { kind: "agent", agent },
    { kind: "credential", agent, credential },
    { kind: "organization", organization: { organizationId: "acme", name: "Acme" } as Schema["Organization"] },
    { kind: "token", jti: id },
    { kind: "key", key: { kid: "k", status: "active" } as Schema["Key"] },
  ];
  for (const target of targets) {
    for (const deed of deedsOf(target)) {
      expect(deed.dies.join(), `${target.kind} ${deed.id}`).toContain(labelOf(target));
      expect(deed.stays.length).toBeGreaterThan(0);
    }
  }
});

test("a pasted token gives its claims; a jti itself; a secret and anything else nothing", () => {
  const token = (claims: unknown) => `eyJhbGciOiJSUzI1NiJ9.${btoa(JSON.stringify(claims))}.c2ln`;
  expect(claimsOf(token({ jti: id, sub: "s", exp: 5 }))).toEqual({ jti: id, sub: "s", exp: 5 });
  expect(claimsOf(` ${id} `)).toEqual({ jti: id });
  for (const wrong of ["", "aidp_sk_0000", token({ sub: "s" }), token({ jti: "../x" }), token(null), "eyJ.%.x"])
    expect(claimsOf(wrong), wrong).toBeUndefined();
});

test("a sidecar has confirmed when it is at the entry or above it", () => {
  const sidecar = (feedSequence: number | undefined, connected: boolean) =>
    ({ connected, feedCursorAt: at, ...(feedSequence !== undefined && { feedSequence }) }) as Schema["Sidecar"];
  const list = [sidecar(9, true), sidecar(8, false), sidecar(7, true), sidecar(7, false), sidecar(undefined, true)];
  expect(confirmations(list, 8).map((c) => c.state)).toEqual(["confirmed", "confirmed", "waiting", "away", "waiting"]);
  expect(confirmations(list, 8).map((c) => c.by)).toEqual([at, at, undefined, undefined, undefined]);
});

test("the entry of a cut is the one above where the feed was", () => {
  const entry = (seq: number, name: string) => ({ seq, type: "agent", id: name, reason: "", at }) as const;
  const entries = [entry(9, "x"), entry(8, id), entry(5, id)];
  expect(entryAfter(entries, { type: "agent", id }, 7)?.seq).toBe(8);
  expect(entryAfter(entries, { type: "agent", id }, 8)).toBeUndefined();
});

test("who made an entry is in the event of the same moment that names the same", () => {
  const entry = { seq: 1, type: "agent", id, reason: "agent_suspended", at } as Schema["RevocationEntry"];
  const event = (eventId: string, action: string, timestamp: string, targetAgentId: string) =>
    ({ eventId, action, timestamp, metadata: { targetAgentId } }) as unknown as Schema["AuditEvent"];
  const events = [
    event("later", "agent.suspended", "2026-07-01T12:00:03.000Z", id),
    event("this", "agent.suspended", "2026-07-01T12:00:00.010Z", id),
    event("other", "agent.suspended", at, "another"),
    event("kind", "agent.updated", at, id),
  ];
  expect(authorOf(entry, events)?.eventId).toBe("this");
  expect(authorOf({ ...entry, at: "2026-07-01T13:00:00.000Z" }, events)).toBeUndefined();
});

test("how many tokens die is said with what the number is worth", () => {
  const preview = (liveTokens: number, bound: "exact" | "at_least" | "at_most") =>
    liveOf({ liveTokens, bound } as Schema["RevocationPreview"]);
  expect(preview(1, "exact")).toBe("1 live token");
  expect(preview(1000, "at_least")).toBe("at least 1000 live tokens");
  expect(preview(3, "at_most")).toBe("at most 3 live tokens");
});
