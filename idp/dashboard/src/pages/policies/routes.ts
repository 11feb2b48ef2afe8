import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { oneOf, present, text } from "../../components/search";
import { shell } from "../../shell/root";
import { methods, places, protocols } from "./words";

export const policiesRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/policies",
    // The decision that is tried: a link to it asks again.
    validateSearch: (raw: Record<string, unknown>) =>
      present({
        agentId: text(raw, "agentId"),
        at: oneOf(raw, "at", places),
        method: oneOf(raw, "method", methods),
        path: text(raw, "path"),
        route: text(raw, "route"),
        capability: text(raw, "capability"),
        protocol: oneOf(raw, "protocol", protocols),
        rpc: text(raw, "rpc"),
        name: text(raw, "name"),
        demand: text(raw, "demand"),
        q: text(raw, "q"),
      }),
    component: lazyRouteComponent(() => import("./PoliciesPage"), "PoliciesPage"),
  }),
] as const;
