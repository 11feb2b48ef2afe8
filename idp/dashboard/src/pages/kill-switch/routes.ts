import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { oneOf, present, text } from "../../components/search";
import { shell } from "../../shell/root";
import { kinds } from "./words";

export const killSwitchRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/kill-switch",
    validateSearch: (raw: Record<string, unknown>) =>
      present({
        what: oneOf(raw, "what", kinds),
        id: text(raw, "id"), // agentId, credentialId, organizationId, jti or kid
        agent: text(raw, "agent"), // whose credential it is
      }),
    component: lazyRouteComponent(() => import("./KillSwitchPage"), "KillSwitchPage"),
  }),
] as const;
