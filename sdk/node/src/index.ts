/**
 * The SDK of AgentIdP for Node.js: {@link TokenSource} gets tokens and keeps them fresh, {@link Client} calls the
 * management API, {@link Verifier} verifies access tokens.
 *
 * @module
 */
export type { CallOptions } from "./api.js";
export { covers } from "./capability.js";
export type { Claims, StatusReference } from "./claims.js";
export { Client } from "./client.js";
export type { Config } from "./config.js";
export { type Environment, fromEnvironment, fromFile } from "./credentials-file.js";
export {
  AgentIdPError,
  ConfigError,
  ConnectionError,
  type ErrorCode,
  type ErrorDetails,
  InvalidAnswerError,
  RefusedError,
  SecretLostError,
} from "./error.js";
export { type AuthenticatedFetch, authenticatedFetch } from "./fetch.js";
export { type Authenticated, type Demand, fastifyToken, type Reply, requireToken } from "./middleware.js";
export type * from "./models.js";
export type { CursorPage, Page } from "./page.js";
export type { PrivateKey } from "./private-key.js";
export { type TokenRefusalReason, TokenRefusedError, UndecidedError } from "./refusals.js";
export type { AgentFilter, Agents } from "./resources/agents.js";
export type { Audit, EventFilter, Span, TailOptions } from "./resources/audit.js";
export type { CredentialRevocation, Credentials, Rotation } from "./resources/credentials.js";
export type { Keys, Policies, Server, Sidecars, StatsQuery } from "./resources/operations.js";
export type { Organizations } from "./resources/organizations.js";
export type { FeedPosition, Revocations } from "./resources/revocations.js";
export type { Tokens } from "./resources/tokens.js";
export { type CredentialRotation, NotStoredError, rotateCredential } from "./rotation.js";
export { type AccessToken, type ClientCredentials, TokenSource, type Waiting } from "./token-source.js";
export { undiciInterceptor } from "./undici.js";
export { Verifier, type VerifierOptions } from "./verifier.js";
