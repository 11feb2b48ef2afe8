import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from "@tanstack/react-router";
import { screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import type { Schema } from "../api/client";
import { QuotaPanel } from "../pages/overview/QuotaPanel";
import { Idp, show } from "../test/idp";
import { nearest } from "./AgentQuotas";

afterEach(() => vi.unstubAllGlobals());

const agents = (n: number): Schema["AgentTokens"][] =>
  Array.from({ length: n }, (_, i) => ({
    agentId: `agent-${i}`,
    email: `a${i}@example.com`,
    status: "active",
    tokensUsed: 100 - i,
  }));

const usage = (n: number, tokensLimitPerAgent = 100): Schema["OrganizationUsage"] => ({
  organizationId: "o",
  month: "2026-07",
  agentsUsed: 3,
  agentsLimit: 4,
  tokensUsed: 1,
  tokensLimitPerAgent,
  resetsAt: "2026-08-01T00:00:00.000Z",
  mostTokens: agents(n),
});

// routed is the panel where links lead somewhere.
function routed() {
  const root = createRootRoute();
  const routes = [
    createRoute({ getParentRoute: () => root, path: "/", component: QuotaPanel }),
    createRoute({ getParentRoute: () => root, path: "/agents/$agentId" }),
  ];
  const router = createRouter({ routeTree: root.addChildren(routes), history: createMemoryHistory() });
  return show(<RouterProvider router={router as never} />);
}

test("a list of some agents says which they are", () => {
  expect(nearest(undefined, 5)).toBeUndefined();
  expect(nearest(usage(4), 5)).toBe("every agent that had a token this month");
  expect(nearest(usage(5), 5)).toBe("the 5 agents nearest to their limit");
  expect(nearest(usage(5, 0), 5)).toBe("the 5 agents with the most tokens this month");
});

test("the agents nearest to their limit stand under the organization's own", async () => {
  const idp = await Idp.start({ "/usage": () => usage(10) });
  routed();
  const nearestAgent = await screen.findByText("a0@example.com", undefined, { timeout: 30_000 });
  expect(nearestAgent.closest("a")?.getAttribute("href")).toBe("/agents/agent-0");
  expect(Array.from(document.querySelectorAll("[role~=meter]"), (m) => m.getAttribute("aria-label"))).toEqual([
    "agents",
    ...agents(5).map((a) => a.email),
  ]);
  expect(screen.getByText("tokens of the 5 agents nearest to their limit")).toBeTruthy();
  expect(idp.asked).toEqual(["usage"]);
}, 30_000);

test("a load that fails is shown", async () => {
  await Idp.start({});
  routed();
  expect(await screen.findByText("no such thing", undefined, { timeout: 30_000 })).toBeTruthy();
}, 30_000);
