import { type Api, type CallOptions, path } from "../api.js";
import { type CursorPage, cursors, PAGE_SIZE } from "../page.js";
import type {
  Agent,
  AgentList,
  AgentPatch,
  AgentSort,
  AgentStatus,
  DeploymentEnv,
  NewAgent,
  Usage,
} from "../schemas.js";

/** Bounds a list of agents; members that are left out do not. */
export interface AgentFilter {
  /** Email, id or owner begins so. */
  search?: string | undefined;
  /** Default: newest first. */
  sort?: AgentSort | undefined;
  /** Default: all but the decommissioned. */
  status?: AgentStatus | undefined;
  owner?: string | undefined;
  agentType?: Agent["agentType"] | undefined;
  deploymentEnv?: DeploymentEnv | undefined;
  /** Exactly this one. */
  capability?: string | undefined;
  /** Another one than the caller's, for the operator. */
  organizationId?: string | undefined;
}

/** Registered identities. */
export class Agents {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** All agents, page by page as they are consumed. What comes and goes meanwhile moves nothing else. */
  list(filter: AgentFilter = {}, options?: CallOptions): AsyncGenerator<Agent, void> {
    return cursors((cursor) => this.page(filter, { cursor, limit: PAGE_SIZE }, options));
  }

  /** One page of that list. */
  page({ search, ...filter }: AgentFilter = {}, page: CursorPage = {}, options?: CallOptions): Promise<AgentList> {
    return this.api.json({ method: "GET", path: "/api/v1/agents", query: { ...page, ...filter, q: search } }, options);
  }

  /** Registers an agent. */
  create(agent: NewAgent, options?: CallOptions): Promise<Agent> {
    return this.api.json({ method: "POST", path: "/api/v1/agents", body: agent }, options);
  }

  get(agentId: string, options?: CallOptions): Promise<Agent> {
    return this.api.json({ method: "GET", path: path`/api/v1/agents/${agentId}` }, options);
  }

  /** Changes the members that are there; `null` clears metadata or keys. */
  update(agentId: string, patch: AgentPatch, options?: CallOptions): Promise<Agent> {
    return this.api.json({ method: "PATCH", path: path`/api/v1/agents/${agentId}`, body: patch }, options);
  }

  /** Kills the agent's live tokens; it gets no others until it is reactivated. The reason goes to the audit log. */
  suspend(agentId: string, reason?: string, options?: CallOptions): Promise<Agent> {
    return this.update(agentId, { status: "suspended", ...(reason && { reason }) }, options);
  }

  /** Lets a suspended agent get tokens again. */
  reactivate(agentId: string, reason?: string, options?: CallOptions): Promise<Agent> {
    return this.update(agentId, { status: "active", ...(reason && { reason }) }, options);
  }

  /** Final: live tokens and credentials die, the record stays. */
  async decommission(agentId: string, reason?: string, options?: CallOptions): Promise<void> {
    await this.api.answer({ method: "DELETE", path: path`/api/v1/agents/${agentId}`, query: { reason } }, options);
  }

  /** What the agent used of its quota in this month. */
  usage(agentId: string, options?: CallOptions): Promise<Usage> {
    return this.api.json({ method: "GET", path: path`/api/v1/agents/${agentId}/usage` }, options);
  }
}
