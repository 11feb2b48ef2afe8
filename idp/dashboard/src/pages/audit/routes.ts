import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { oneOf, present, text, texts } from "../../components/search";
import { shell } from "../../shell/root";
import { outcomes } from "./words";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const dotted = /^[a-z]+\.[a-z_]{1,48}$/;

const form = (raw: Record<string, unknown>, name: string, pattern: RegExp) => {
  const value = text(raw, name);
  return value !== undefined && pattern.test(value) ? value : undefined;
};

const instant = (raw: Record<string, unknown>, name: string) => {
  const at = Date.parse(text(raw, name) ?? "");
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
};

export const auditRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/audit",
    validateSearch: (raw: Record<string, unknown>) =>
      present({
        q: text(raw, "q"),
        agentId: form(raw, "agentId", uuid),
        targetAgentId: form(raw, "targetAgentId", uuid),
        action: form(raw, "action", dotted),
        outcome: oneOf(raw, "outcome", outcomes),
        from: instant(raw, "from"),
        to: instant(raw, "to"),
        trail: texts(raw, "trail"),
      }),
    component: lazyRouteComponent(() => import("./AuditPage"), "AuditPage"),
  }),
  createRoute({
    getParentRoute: () => shell,
    path: "/audit/$eventId",
    component: lazyRouteComponent(() => import("./EventPage"), "EventPage"),
  }),
] as const;
