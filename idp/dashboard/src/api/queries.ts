import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api, entire, type Schema } from "./client";
import { live } from "./live";
import { problemOf } from "./problem";

// What more than one page asks for. A page's own queries stand beside the page.

export type AgentFilter = {
  q?: string;
  sort?: Schema["AgentSort"];
  page?: number;
  limit?: number;
  status?: Schema["AgentStatus"];
  owner?: string;
  agentType?: Schema["AgentType"];
  deploymentEnv?: Schema["DeploymentEnv"];
  capability?: string;
};

export const agentsQuery = (filter: AgentFilter) =>
  queryOptions({
    queryKey: ["agents", "list", filter],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/agents", { params: { query: filter }, signal })),
    placeholderData: keepPreviousData,
    ...live(30),
  });

export const agentQuery = (agentId: string) =>
  queryOptions({
    queryKey: ["agents", "one", agentId],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/agents/{agentId}", { params: { path: { agentId } }, signal })),
    ...live(30),
  });

export const usageQuery = (agentId: string) =>
  queryOptions({
    queryKey: ["agents", "usage", agentId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/agents/{agentId}/usage", { params: { path: { agentId } }, signal })),
    ...live(30),
  });

export const credentialsQuery = (agentId: string) =>
  queryOptions({
    queryKey: ["credentials", agentId],
    queryFn: ({ signal }) =>
      answer(
        api.GET("/api/v1/agents/{agentId}/credentials", {
          params: { path: { agentId }, query: { limit: 100 } },
          signal,
        }),
      ),
    ...live(60),
  });

export type AuditFilter = {
  q?: string;
  agentId?: string;
  targetAgentId?: string;
  action?: string;
  outcome?: Schema["AuditOutcome"];
  from?: string;
  to?: string;
  cursor?: string;
  limit?: number;
};

export const auditQuery = (filter: AuditFilter) =>
  queryOptions({
    queryKey: ["audit", "list", filter],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/audit", { params: { query: filter }, signal })),
    placeholderData: keepPreviousData,
    ...live(30),
  });

export const sidecarsQuery = queryOptions({
  queryKey: ["sidecars"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/sidecars", { params: { query: { limit: 100 } }, signal })),
  ...live(15),
});

export const organizationsQuery = (page = 1, limit = 100) =>
  queryOptions({
    queryKey: ["organizations", "list", page, limit],
    queryFn: ({ signal }) => answer(api.GET("/api/v1/organizations", { params: { query: { page, limit } }, signal })),
    placeholderData: keepPreviousData,
    ...live(60),
  });

export const organizationUsageQuery = (organizationId: string) =>
  queryOptions({
    queryKey: ["organizations", "usage", organizationId],
    queryFn: ({ signal }) =>
      answer(api.GET("/api/v1/organizations/{organizationId}/usage", { params: { path: { organizationId } }, signal })),
    ...live(60),
  });

// organizationQuery keeps the ETag, for those who change what they read.
export const organizationQuery = (organizationId: string) =>
  queryOptions({
    queryKey: ["organizations", "one", organizationId],
    queryFn: async ({ signal }) => {
      const { data, response } = await entire(
        api.GET("/api/v1/organizations/{organizationId}", { params: { path: { organizationId } }, signal }),
      );
      if (data === undefined) throw problemOf(response, undefined);
      return { organization: data, etag: response.headers.get("ETag") ?? undefined };
    },
    ...live(60),
  });

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: ({ signal }) => answer(api.GET("/api/v1/keys", { signal })),
  ...live(60),
});

export const healthQuery = queryOptions({
  queryKey: ["health"],
  queryFn: async ({ signal }): Promise<Schema["Health"]> => {
    // 503 has the same body: the health page is about it, so it is no failure.
    const { data, error, response } = await api.GET("/health", { signal });
    if (data) return data;
    return error && "dependencies" in error ? error : answer(Promise.resolve({ error, response }));
  },
  ...live(15),
});
