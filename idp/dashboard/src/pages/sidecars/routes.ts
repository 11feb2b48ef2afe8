import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { shell } from "../../shell/root";

export const sidecarsRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/sidecars",
    component: lazyRouteComponent(() => import("./SidecarsPage"), "SidecarsPage"),
  }),
] as const;
