import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { shell } from "../../shell/root";

export const keysRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/keys",
    component: lazyRouteComponent(() => import("./KeysPage"), "KeysPage"),
  }),
] as const;
