import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { pageNumber, present } from "../../components/search";
import { shell } from "../../shell/root";

export const organizationsRoutes = [
  createRoute({
    getParentRoute: () => shell,
    path: "/organizations",
    validateSearch: (raw: Record<string, unknown>) => present({ page: pageNumber(raw) }),
    component: lazyRouteComponent(() => import("./OrganizationsPage"), "OrganizationsPage"),
  }),
  createRoute({
    getParentRoute: () => shell,
    path: "/organizations/$organizationId",
    component: lazyRouteComponent(() => import("./OrganizationPage"), "OrganizationPage"),
  }),
] as const;
