import { bounds, type Preview, previewQuery } from "../../api/preview";
import { entryOf, type Target } from "./deeds";
import { plural } from "./words";

// targetQuery is the preview of a target. The API counts nothing for a single token.
export function targetQuery(target: Target) {
  const { type, id } = entryOf(target);
  return { ...previewQuery(type as Preview["type"], id), enabled: target.kind !== "token" };
}

// liveOf words how many tokens would die.
export const liveOf = ({ liveTokens, bound }: Preview): string => `${bounds[bound]}${plural(liveTokens, "live token")}`;

export type Claims = { jti: string; sub?: string; client_id?: string; exp?: number };

// claimsOf reads what a pasted token says about itself, here in the page: the token
// goes nowhere. What is no token may be a jti.
export function claimsOf(pasted: string): Claims | undefined {
  const text = pasted.trim();
  const parts = text.split(".");
  if (parts.length === 3 && parts[0]?.startsWith("eyJ")) {
    try {
      const json: unknown = JSON.parse(atob((parts[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")));
      const claims = json as Claims;
      return typeof claims.jti === "string" && jti.test(claims.jti) ? claims : undefined;
    } catch {
      return undefined;
    }
  }
  return jti.test(text) ? { jti: text } : undefined;
}

// A UUID and nothing else: a secret that is pasted by mistake must not get into the address.
const jti = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
