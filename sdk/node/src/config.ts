import { ConfigError } from "./error.js";
import { assertionKeyOf, type PrivateKey } from "./private-key.js";

/** Says who asks, and for what. */
export interface Config {
  /** Base URL of the IdP, which is its issuer: `https://idp.example.com`. */
  url: string;
  clientId?: string | undefined;
  /** The secret of a `client_secret` credential. */
  clientSecret?: string | undefined;
  /** The key of a `private_key_jwt` credential, instead of a secret. */
  privateKey?: PrivateKey | undefined;
  /** Which key of the agent's set that is. Default: its thumbprint (RFC 7638). */
  keyId?: string | undefined;
  /** The APIs that tokens are for (RFC 8707). None: the IdP's own management API. */
  resources?: readonly string[] | undefined;
  /** The capabilities asked for. None: all that the agent holds. */
  scopes?: readonly string[] | undefined;
  /**
   * Milliseconds that one attempt may take, with its answer. Default: 10,000 for a token, 30,000 for the management API.
   */
  timeout?: number | undefined;
  /** Makes the requests. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Says everything that is wrong with a configuration in one error. */
export function validate(config: Config): void {
  const problems = problemsOf(config);
  if (problems.length > 0) throw new ConfigError(problems.join("; "));
}

export function problemsOf(config: Config): string[] {
  const problems: string[] = [];
  const attempt = (check: () => unknown) => {
    try {
      check();
    } catch (error) {
      problems.push((error as Error).message);
    }
  };
  attempt(() => baseOf(config.url));
  const { clientId, clientSecret, privateKey } = config;
  if (!clientId) problems.push("the client id (AGENTIDP_CLIENT_ID) is missing");
  if (!clientSecret && !privateKey) {
    problems.push("the client secret (AGENTIDP_CLIENT_SECRET) or private key (AGENTIDP_PRIVATE_KEY_FILE) is missing");
  }
  if (clientSecret && privateKey) {
    problems.push(
      "a client secret (AGENTIDP_CLIENT_SECRET) and a private key (AGENTIDP_PRIVATE_KEY_FILE) are both set",
    );
  }
  if (privateKey) attempt(() => assertionKeyOf(privateKey));
  return problems;
}

/** The address of the IdP, without a slash at its end. */
export function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const http = parsed?.protocol === "https:" || parsed?.protocol === "http:";
  if (!parsed || !http || parsed.username || parsed.password || parsed.search || parsed.hash) {
    throw new ConfigError("the URL (AGENTIDP_URL) must be the IdP's absolute http(s) address");
  }
  return url.replace(/\/$/, "");
}
