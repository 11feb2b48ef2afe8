import type { Api, CallOptions } from "../api.js";
import { PAGE_SIZE, pages } from "../page.js";
import type {
  Health,
  Jwks,
  Key,
  KeyList,
  KeyRotation,
  Metadata,
  Policy,
  PolicyDecision,
  PolicyInput,
  Sidecar,
  SidecarList,
  Stats,
  StatsStep,
} from "../schemas.js";
import type { Span } from "./audit.js";

/** Keys that sign tokens. */
export class Keys {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** Every signing key, the one that signs first, and the key of the audit log's checkpoints. */
  list(options?: CallOptions): Promise<KeyList> {
    return this.api.json({ method: "GET", path: "/api/v1/keys" }, options);
  }

  /** Gives the key that is to sign or, in an emergency, signs from now on: then the one before and its tokens die. */
  rotate(rotation: KeyRotation = {}, options?: CallOptions): Promise<Key> {
    return this.api.json({ method: "POST", path: "/api/v1/keys/rotate", body: rotation }, options);
  }
}

/** What decides. */
export class Policies {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** The policy in force. */
  get(options?: CallOptions): Promise<Policy> {
    return this.api.json({ method: "GET", path: "/api/v1/policies" }, options);
  }

  /** What the policy in force would decide. It changes nothing. */
  evaluate(input: PolicyInput, options?: CallOptions): Promise<PolicyDecision> {
    return this.api.json({ method: "POST", path: "/api/v1/policies/evaluate", body: input, repeatable: true }, options);
  }
}

/** Sidecars that report to the IdP. */
export class Sidecars {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** Most recently seen first; of another organization than the caller's for the operator. */
  list(organizationId?: string, options?: CallOptions): AsyncGenerator<Sidecar, void> {
    return pages((page) => {
      const query = { page, limit: PAGE_SIZE, organizationId };
      return this.api.json<SidecarList>({ method: "GET", path: "/api/v1/sidecars", query }, options);
    });
  }
}

/** Bounds the counts; what is left out has the API's defaults. */
export interface StatsQuery extends Span {
  /** The length of a bucket. Default: an hour. */
  step?: StatsStep | undefined;
  /** Another one than all, for the operator. */
  organizationId?: string | undefined;
}

/** What the IdP says of itself. */
export class Server {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** Whether it can do its work. That it cannot is no error here. */
  health(options?: CallOptions): Promise<Health> {
    return this.api.json({ method: "GET", path: "/health", open: true, takes: 503 }, options);
  }

  /** RFC 8414. */
  metadata(options?: CallOptions): Promise<Metadata> {
    return this.api.json({ method: "GET", path: "/.well-known/oauth-authorization-server", open: true }, options);
  }

  /** The keys that verify tokens. */
  jwks(options?: CallOptions): Promise<Jwks> {
    return this.api.json({ method: "GET", path: "/.well-known/jwks.json", open: true }, options);
  }

  /** How often what happened, and what there is now. At most 1,500 buckets. */
  stats(query: StatsQuery = {}, options?: CallOptions): Promise<Stats> {
    return this.api.json({ method: "GET", path: "/api/v1/stats", query: { ...query } }, options);
  }
}
