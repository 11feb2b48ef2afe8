import { useQuery } from "@tanstack/react-query";
import { agentQuery, credentialsQuery, keysQuery, organizationQuery } from "../../api/queries";
import type { Target } from "./deeds";
import type { Kind } from "./words";

export type Aim = { what?: Kind; id?: string; agent?: string };

export type Found = { target?: Target; loading: boolean; error?: unknown; missing: boolean };

// useTarget finds what the URL names.
export function useTarget({ what, id, agent: ofAgent }: Aim): Found {
  const agentId = what === "agent" ? id : what === "credential" ? ofAgent : undefined;
  const agent = useQuery({ ...agentQuery(agentId ?? ""), enabled: agentId !== undefined });
  const credentials = useQuery({
    ...credentialsQuery(ofAgent ?? ""),
    enabled: what === "credential" && ofAgent !== undefined && id !== undefined,
  });
  const organization = useQuery({
    ...organizationQuery(id ?? ""),
    enabled: what === "organization" && id !== undefined,
  });
  const keys = useQuery({ ...keysQuery, enabled: what === "key" && id !== undefined });
  const nothing: Found = { loading: false, missing: false };
  if (what === undefined || id === undefined) return nothing;

  function found<T>(query: { data: T | undefined; error: unknown }, aim: (data: T) => Target | undefined): Found {
    if (query.data === undefined)
      return { loading: query.error === null, error: query.error ?? undefined, missing: false };
    const target = aim(query.data);
    return { ...(target && { target }), loading: false, missing: target === undefined };
  }
  switch (what) {
    case "agent":
      return found(agent, (a) => ({ kind: "agent", agent: a }));
    case "credential":
      return found(credentials, ({ data }) => {
        const credential = data.find((c) => c.credentialId === id);
        return agent.data && credential && { kind: "credential", agent: agent.data, credential };
      });
    case "organization":
      return found(organization, (o) => ({ kind: "organization", organization: o.organization }));
    case "token":
      return { target: { kind: "token", jti: id }, loading: false, missing: false };
    case "key":
      return found(keys, ({ data }) => {
        const key = data.find((k) => k.kid === id);
        return key && { kind: "key", key };
      });
  }
}
