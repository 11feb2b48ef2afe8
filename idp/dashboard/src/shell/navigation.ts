import type { IconName } from "../components/Icon";

// navigation is what the side bar lists, in this order.
export const navigation = [
  { to: "/", name: "Overview", icon: "overview" },
  { to: "/agents", name: "Agents", icon: "agents" },
  { to: "/audit", name: "Audit", icon: "audit" },
  { to: "/kill-switch", name: "Kill switch", icon: "kill" },
  { to: "/policies", name: "Policies", icon: "policies" },
  { to: "/keys", name: "Keys", icon: "keys" },
  { to: "/organizations", name: "Organizations", icon: "organizations" },
  { to: "/sidecars", name: "Sidecars", icon: "sidecars" },
] as const satisfies readonly { to: string; name: string; icon: IconName }[];
