import type { Schema } from "../../api/client";
import { find, type Operation } from "./operations";
import type { Method, Place, Protocol } from "./words";

// Asked is the request that is tried, as its form and the URL hold it.
export type Asked = {
  agentId?: string;
  at?: Place;
  method?: Method;
  path?: string;
  route?: string; // instead of the one that is found
  capability?: string; // likewise
  protocol?: Protocol; // the body is a message
  rpc?: string; // its method
  name?: string;
  demand?: string; // the capability that the message needs besides
};

export type Input = Schema["PolicyInput"];

// targetOf is what a request means: as it is given, or as one of the known operations.
export function targetOf(asked: Asked, known: Operation[]): { id: string; capability: string } | undefined {
  const found = find(known, asked.method ?? "GET", asked.path ?? "");
  const id = (asked.at !== "management" && asked.route) || found?.id;
  const capability = (asked.at !== "management" && asked.capability) || found?.capability;
  return id && capability ? { id, capability } : undefined;
}

// inputsOf is what an enforcement point would ask the policy: once, or, for a message
// that needs a capability of its own, twice. The token is one with all that its agent may have.
export function inputsOf(asked: Asked, agent: Schema["Agent"], target: { id: string; capability: string }): Input[] {
  const message = asked.at !== "management" && asked.protocol;
  const input: Input = {
    agent: { id: agent.agentId, organizationId: agent.organizationId },
    token: { scope: agent.capabilities },
    request: { method: asked.method ?? "GET", path: asked.path ?? "" },
    route: target,
    ...(message && {
      rpc: { protocol: message, method: asked.rpc ?? "", ...(asked.name !== undefined && { name: asked.name }) },
    }),
  };
  if (!message || !asked.demand) return [input];
  return [input, { ...input, route: { id: target.id, capability: asked.demand } }];
}
