import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { oneOf, pageNumber, present, text } from "../../components/search";
import { shell } from "../../shell/root";
import { agentTypes, environments, sorts, statuses } from "./words";

export const agentsRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/agents",
    validateSearch: (raw: Record<string, unknown>) =>
      present({
        q: text(raw, "q"),
        status: oneOf(raw, "status", statuses),
        agentType: oneOf(raw, "agentType", agentTypes),
        deploymentEnv: oneOf(raw, "deploymentEnv", environments),
        owner: text(raw, "owner"),
        capability: text(raw, "capability"),
        sort: oneOf(raw, "sort", sorts),
        page: pageNumber(raw),
      }),
    component: lazyRouteComponent(() => import("./AgentsPage"), "AgentsPage"),
  }),
  createRoute({
    getParentRoute: () => shell,
    path: "/agents/new",
    component: lazyRouteComponent(() => import("./RegisterPage"), "RegisterPage"),
  }),
  createRoute({
    getParentRoute: () => shell,
    path: "/agents/$agentId",
    // start: the way from a new agent to its first request, at the top of the page
    validateSearch: (raw: Record<string, unknown>) => present({ start: raw.start === true ? true : undefined }),
    component: lazyRouteComponent(() => import("./AgentPage"), "AgentPage"),
  }),
] as const;
