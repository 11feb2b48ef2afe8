import { createRouter, type RouterHistory } from "@tanstack/react-router";
import { dashboardPath } from "./base";
import { agentsRoutes } from "./pages/agents/routes";
import { auditRoutes } from "./pages/audit/routes";
import { keysRoutes } from "./pages/keys/routes";
import { killSwitchRoutes } from "./pages/kill-switch/routes";
import { organizationsRoutes } from "./pages/organizations/routes";
import { overviewRoutes } from "./pages/overview/routes";
import { policiesRoutes } from "./pages/policies/routes";
import { sidecarsRoutes } from "./pages/sidecars/routes";
import { shell } from "./shell/root";

// Every page has a folder below pages, whose routes.ts names its addresses; the
// page itself is loaded when it is first shown.
const tree = shell.addChildren([
  ...overviewRoutes,
  ...agentsRoutes,
  ...auditRoutes,
  ...killSwitchRoutes,
  ...policiesRoutes,
  ...keysRoutes,
  ...organizationsRoutes,
  ...sidecarsRoutes,
]);

export function createAppRouter(history?: RouterHistory) {
  return createRouter({
    routeTree: tree,
    basepath: dashboardPath,
    defaultPreload: "intent",
    scrollRestoration: true,
    ...(history && { history }),
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
