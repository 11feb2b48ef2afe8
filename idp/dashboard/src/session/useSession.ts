import { useSyncExternalStore } from "react";
import { type Identity, session } from "./session";

export function useSession() {
  return useSyncExternalStore(session.subscribe, session.state);
}

// useIdentity is for what is shown to those who are signed in.
export function useIdentity(): Identity {
  const state = useSession();
  if (state.status !== "signedIn") throw new Error("nobody is signed in");
  return state.identity;
}

// useCan reports whether the caller holds a capability; "agents:*" covers "agents:read".
export function useCan(capability: string): boolean {
  const { scope } = useIdentity();
  const [resource] = capability.split(":");
  return scope.includes(capability) || scope.includes(`${resource}:*`);
}
