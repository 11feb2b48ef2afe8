/** What the management API is about: a wildcard resource never covers it. */
const RESERVED = new Set([
  "agents",
  "audit",
  "credentials",
  "decisions",
  "keys",
  "organizations",
  "policies",
  "revocations",
  "sidecars",
  "tokens",
]);

const SIDE = /^(\*|[a-z0-9][a-z0-9._/-]*)$/;

/**
 * Whether a scope, as a token carries it, has a capability: `notes:read` is covered by itself, `notes:*`, `*:read` and
 * `*:*`. A scope with a member that is no capability covers nothing.
 */
export function covers(scope: string, capability: string): boolean {
  const demanded = parse(capability);
  const held = scope.split(" ").map(parse);
  if (!demanded || held.includes(undefined)) return false;
  const [resource, action] = demanded;
  return held.some((pair) => {
    const [heldResource, heldAction] = pair as Capability;
    if (heldAction !== "*" && heldAction !== action) return false;
    return heldResource === resource || (heldResource === "*" && !RESERVED.has(resource));
  });
}

type Capability = [resource: string, action: string];

function parse(text: string): Capability | undefined {
  const colon = text.indexOf(":");
  const resource = text.slice(0, Math.max(colon, 0));
  const action = text.slice(colon + 1);
  return text.length <= 128 && SIDE.test(resource) && SIDE.test(action) ? [resource, action] : undefined;
}
