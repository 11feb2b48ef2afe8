import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { type Window, windows } from "../../api/stats";
import { oneOf, present } from "../../components/search";
import { shell } from "../../shell/root";

export const overviewRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/",
    validateSearch: (raw: Record<string, unknown>) =>
      present({ window: oneOf(raw, "window", Object.keys(windows) as Window[]) }),
    component: lazyRouteComponent(() => import("./OverviewPage"), "OverviewPage"),
  }),
] as const;
