import { queryOptions } from "@tanstack/react-query";
import { answer, api, type Schema } from "../../api/client";
import { auditQuery } from "../../api/queries";

// Operation is what a request can be: one of the management API, or a route that a
// sidecar has decided on.
export type Operation = { id: string; method: string; path: string; capability: string };

type Described = Record<string, { operationId?: string; "x-capability"?: string }>;

// operationsQuery reads what the management API demands from its own document.
export const operationsQuery = queryOptions({
  queryKey: ["operations"],
  queryFn: async ({ signal }): Promise<Operation[]> => {
    const { paths } = await answer(api.GET("/openapi.json", { signal }));
    return Object.entries(paths as Record<string, Described>).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { operationId: id, "x-capability": capability }]) =>
        id && capability ? [{ id, method: method.toUpperCase(), path, capability }] : [],
      ),
    );
  },
  staleTime: Number.POSITIVE_INFINITY,
});

export type SeenRoute = Operation & { allowed: number; denied: number; at: string };

export const sample = 100;
export const allowedQuery = auditQuery({ action: "decision.allowed", limit: sample });
export const deniedQuery = auditQuery({ action: "decision.denied", limit: sample });

// seenRoutes gathers the routes of sidecars from their decisions: the route files
// themselves are the sidecars' own, and the IdP never sees them.
export function seenRoutes(events: Schema["AuditEvent"][]): SeenRoute[] {
  const routes = new Map<string, SeenRoute>();
  for (const { action, metadata = {}, timestamp } of events) {
    const m = metadata as Record<string, string | number | undefined>;
    if (typeof m.routeId !== "string" || typeof m.capability !== "string") continue;
    const method = String(m.method ?? "");
    const key = `${method} ${m.routeId} ${m.capability}`;
    const route = routes.get(key) ?? {
      id: m.routeId,
      method,
      path: pathOf(m.routeId),
      capability: m.capability,
      allowed: 0,
      denied: 0,
      at: timestamp,
    };
    const times = typeof m.count === "number" ? m.count : 1;
    if (action === "decision.allowed") route.allowed += times;
    else route.denied += times;
    if (timestamp > route.at) route.at = timestamp;
    routes.set(key, route);
  }
  return [...routes.values()].sort((a, b) => a.id.localeCompare(b.id) || a.method.localeCompare(b.method));
}

// pathOf is the path of a route's id, which may begin with a host.
const pathOf = (id: string) => id.slice(id.indexOf("/"));

// find is the operation that a request means: of several patterns, the one with fewest variables.
export function find<T extends Operation>(operations: T[], method: string, path: string): T | undefined {
  const fits = operations.filter((o) => o.method === method && matches(o.path, path));
  return fits.sort((a, b) => a.path.split("{").length - b.path.split("{").length)[0];
}

function matches(pattern: string, path: string): boolean {
  const [wanted, found] = [pattern.split("/"), path.split("/")];
  return (
    wanted.length === found.length && wanted.every((w, i) => (/^\{.*\}$/.test(w) ? found[i] !== "" : w === found[i]))
  );
}
