import type { Api, CallOptions } from "../api.js";
import type { Introspection } from "../schemas.js";

/** Access tokens that are out. */
export class Tokens {
  /** @internal */
  constructor(private readonly api: Api) {}

  /**
   * Says whether a token is live: one of the client's own, or with `tokens:introspect` one of its organization. Of
   * others it says that they are not.
   */
  introspect(token: string, options?: CallOptions): Promise<Introspection> {
    const form = { token: given(token) };
    return this.api.json({ method: "POST", path: "/api/v1/token/introspect", form, repeatable: true }, options);
  }

  /**
   * Kills a token: one of the client's own, or with `tokens:revoke` one of its organization. An unknown one is no
   * error. The reason goes to the audit log.
   */
  async revoke(token: string, reason?: string, options?: CallOptions): Promise<void> {
    const form = { token: given(token), reason };
    await this.api.answer({ method: "POST", path: "/api/v1/token/revoke", form, repeatable: true }, options);
  }
}

function given(token: string): string {
  if (token === "") throw new TypeError("no token was given");
  return token;
}
