import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Schema } from "../api/client";
import { agentQuery, agentsQuery } from "../api/queries";
import { Combo } from "./Combo";
import { searched, useSettled } from "./useSettled";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const offered = 20;

type Props = {
  label: string;
  value: string | undefined; // agentId
  placeholder?: string;
  onChange: (agentId: string | undefined) => void;
};

// AgentPicker chooses an agent: the IdP finds it by the beginning of its email,
// owner or id. An id that is typed whole counts as chosen.
export function AgentPicker({ label, value, placeholder = "email, owner or id", onChange }: Props) {
  const [typed, setTyped] = useState<string>();
  const q = useSettled(searched(typed));
  const found = useQuery({
    ...agentsQuery({ limit: offered, ...(q !== undefined && { q }) }),
    staleTime: 30_000,
    refetchInterval: false,
  });
  const chosen = useQuery({
    ...agentQuery(value ?? ""),
    enabled: value !== undefined,
    staleTime: 600_000,
    refetchInterval: false,
  });
  const waiting = found.isPending || q !== searched(typed);
  return (
    <Combo
      label={label}
      placeholder={placeholder}
      items={(found.data?.data ?? []).map((a) => ({ id: a.agentId, name: a.email, note: noteOf(a) }))}
      value={value}
      name={value === undefined ? undefined : chosen.data?.email}
      accepts={uuid}
      none={waiting ? "searching…" : found.isError ? "the IdP did not answer" : "no agent begins so"}
      onSearch={setTyped}
      onChange={onChange}
    />
  );
}

// noteOf is what tells agents of the same beginning apart.
const noteOf = (a: Schema["Agent"]): string =>
  [a.status !== "active" && a.status, a.organizationId !== "default" && a.organizationId, a.owner]
    .filter(Boolean)
    .join(" · ");
