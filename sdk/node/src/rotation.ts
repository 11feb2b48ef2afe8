import { decodeJwt } from "jose";
import type { CallOptions } from "./api.js";
import type { Client } from "./client.js";
import { AgentIdPError, ConfigError } from "./error.js";
import type { Credential, CredentialWithSecret } from "./schemas.js";
import type { TokenSource } from "./token-source.js";

const DEFAULT_OVERLAP = 3_600;

/** How a credential is rotated. */
export interface CredentialRotation extends CallOptions {
  /** Keeps the new credential where the next start finds it. */
  store: (credential: CredentialWithSecret) => void | Promise<void>;
  /** Sources that use the same credential, to go on with the new secret. The client's own does anyway. */
  sources?: readonly TokenSource[] | undefined;
  /** Seconds that the old secret stays good, up to 604,800; rounded up. Default: an hour. */
  overlapSeconds?: number | undefined;
}

/** The credential was rotated, and is in use, but could not be stored: the program must keep it. */
export class NotStoredError extends AgentIdPError {
  override readonly name = "NotStoredError";
  readonly #credential: CredentialWithSecret; // where no log of the error finds the secret

  constructor(credential: CredentialWithSecret, cause: unknown) {
    super("the credential was rotated but not stored", { cause });
    this.#credential = credential;
  }

  /** The new one; the old secret ends with the overlap. */
  get credential(): CredentialWithSecret {
    return this.#credential;
  }
}

/**
 * Replaces the secret that the client itself uses, and goes on with the new one, without a failed call: tokens that are
 * out stay good, and the old secret does for so long.
 *
 * ```ts
 * await rotateCredential(client, { sources: [source], store: (credential) => vault.write(credential) });
 * ```
 *
 * @throws NotStoredError when only the storing failed; SecretLostError when the new secret was lost on its way: nothing has
 * changed here, and the old one is good for the overlap; ConfigError when the client has a key instead of a secret.
 */
export async function rotateCredential(client: Client, rotation: CredentialRotation): Promise<CredentialWithSecret> {
  const { signal } = rotation;
  const own = client.tokenSource;
  if (!own.hasSecret) throw new ConfigError("a private key is rotated by publishing another one, not at the IdP");
  const { sub: agentId = "" } = decodeJwt(await own.accessToken({ signal })); // our own: what it says is only a name to ask for
  const { credentialId } = await find(client, agentId, own.clientId, signal);
  const overlapSeconds = rotation.overlapSeconds ?? DEFAULT_OVERLAP;
  const credential = await client.credentials.rotate(agentId, credentialId, { overlapSeconds }, { signal });
  for (const source of new Set([own, ...(rotation.sources ?? [])])) source.use(credential);
  try {
    await rotation.store(credential);
  } catch (cause) {
    throw new NotStoredError(credential, cause);
  }
  return credential;
}

async function find(client: Client, agentId: string, clientId: string, signal?: AbortSignal): Promise<Credential> {
  for await (const credential of client.credentials.list(agentId, { signal })) {
    if (credential.clientId === clientId) return credential;
  }
  throw new ConfigError("the agent has no credential with the client id");
}
