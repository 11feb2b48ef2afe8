import { Api, type CallOptions } from "./api.js";
import { type Clock, systemClock } from "./clock.js";
import type { Config } from "./config.js";
import { Agents } from "./resources/agents.js";
import { Audit } from "./resources/audit.js";
import { Credentials } from "./resources/credentials.js";
import { Keys, Policies, Server, Sidecars } from "./resources/operations.js";
import { Organizations } from "./resources/organizations.js";
import { Revocations } from "./resources/revocations.js";
import { Tokens } from "./resources/tokens.js";
import type { TokenSource } from "./token-source.js";

/**
 * Calls the management API. Without a client id it can call what is open. Resources of the configuration are for other
 * APIs and left out; its scopes bound what the client may do.
 *
 * ```ts
 * const client = new Client(fromEnvironment());
 * for await (const agent of client.agents.list({ status: "suspended" })) console.log(agent.email);
 * ```
 *
 * Every call throws {@link RefusedError}, {@link ConnectionError} or {@link InvalidAnswerError}.
 */
export class Client {
  readonly agents: Agents;
  readonly credentials: Credentials;
  readonly tokens: Tokens;
  readonly audit: Audit;
  readonly organizations: Organizations;
  readonly revocations: Revocations;
  readonly keys: Keys;
  readonly policies: Policies;
  readonly sidecars: Sidecars;
  readonly server: Server;
  private readonly api: Api;

  /** @throws ConfigError when the configuration cannot work. It calls nobody yet. */
  constructor(config: Config);
  /** @internal */
  constructor(config: Config, clock: Clock);
  constructor(config: Config, clock: Clock = systemClock) {
    const api = new Api(config, clock);
    this.api = api;
    this.agents = new Agents(api);
    this.credentials = new Credentials(api);
    this.tokens = new Tokens(api);
    this.audit = new Audit(api);
    this.organizations = new Organizations(api);
    this.revocations = new Revocations(api, config.fetch);
    this.keys = new Keys(api);
    this.policies = new Policies(api);
    this.sidecars = new Sidecars(api);
    this.server = new Server(api);
  }

  /** The address of the IdP, without a slash at its end. */
  get url(): string {
    return this.api.url;
  }

  /**
   * Where the tokens of the client's calls come from.
   * @throws ConfigError when there are none
   */
  get tokenSource(): TokenSource {
    return this.api.tokens();
  }

  /** The token that the client's calls carry. */
  accessToken(options?: CallOptions): Promise<string> {
    return this.api.tokens().accessToken(options);
  }
}
