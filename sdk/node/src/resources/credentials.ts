import { type Api, type CallOptions, path } from "../api.js";
import { RefusedError, SecretLostError } from "../error.js";
import { PAGE_SIZE, type Page, pages } from "../page.js";
import type {
  Credential,
  CredentialList,
  CredentialWithSecret,
  NewCredential,
  NewCredentialAnswer,
} from "../schemas.js";

/** How a secret is replaced. */
export interface Rotation {
  /** How long the old one stays good, up to 604,800; part of a second is a whole one. Default: not at all. */
  overlapSeconds?: number | undefined;
  /** Kill the tokens issued to the credential too. */
  revokeTokens?: boolean | undefined;
}

/** How a credential ends. */
export interface CredentialRevocation {
  /** Kill the tokens issued to it too; else they live on. */
  revokeTokens?: boolean | undefined;
  /** For the audit log. */
  reason?: string | undefined;
}

/** What agents authenticate with. */
export class Credentials {
  /** @internal */
  constructor(private readonly api: Api) {}

  /** An agent's credentials, revoked ones too, page by page as they are consumed. */
  list(agentId: string, options?: CallOptions): AsyncGenerator<Credential, void> {
    return pages((page) => this.page(agentId, { page, limit: PAGE_SIZE }, options));
  }

  /** One page of that list. */
  page(agentId: string, page: Page = {}, options?: CallOptions): Promise<CredentialList> {
    return this.api.json(
      { method: "GET", path: path`/api/v1/agents/${agentId}/credentials`, query: { ...page } },
      options,
    );
  }

  /**
   * Makes a credential; its secret is in this answer and never again. A call whose answer was lost made one that nobody
   * knows the secret of: it is in the list, to be revoked.
   */
  create(agentId: string, credential: NewCredential = {}, options?: CallOptions): Promise<NewCredentialAnswer> {
    return this.api.json(
      { method: "POST", path: path`/api/v1/agents/${agentId}/credentials`, body: credential },
      options,
    );
  }

  /**
   * Replaces the secret; the client id stays. {@link rotateCredential} does it for the caller's own.
   * @throws SecretLostError when the answer was lost, and the new secret with it.
   */
  async rotate(
    agentId: string,
    credentialId: string,
    { overlapSeconds = 0, revokeTokens }: Rotation = {},
    options?: CallOptions,
  ): Promise<CredentialWithSecret> {
    const overlap = Math.ceil(overlapSeconds); // half a second must not be none
    const at = path`/api/v1/agents/${agentId}/credentials/${credentialId}/rotate`;
    const query = { revokeTokens: revokeTokens || undefined };
    const began = this.api.clock.now().wall;
    try {
      return await this.api.json({ method: "POST", path: at, query, body: { overlapSeconds: overlap } }, options);
    } catch (error) {
      const made = error instanceof RefusedError && error.status === 409 && error.code === "INVALID_STATE";
      if (!made || !error.details.credentialId) throw error; // only a repeat of what made a secret names the credential
      const until = new Date(began + overlap * 1000); // the IdP began to count later than that
      throw new SecretLostError(error.details.credentialId, until, error);
    }
  }

  /** Final. */
  async revoke(
    agentId: string,
    credentialId: string,
    { revokeTokens, reason }: CredentialRevocation = {},
    options?: CallOptions,
  ): Promise<void> {
    const query = { revokeTokens: revokeTokens || undefined, reason };
    const at = path`/api/v1/agents/${agentId}/credentials/${credentialId}`;
    await this.api.answer({ method: "DELETE", path: at, query }, options);
  }
}
