import { Problem, problemOf, unreachable } from "../api/problem";
import { apiBase } from "../base";

// Identity is who is signed in, as the token says. Nothing in it is secret.
export type Identity = { agentId: string; organizationId: string; clientId: string; scope: string[] };

export type SessionState =
  | { status: "signedOut"; reason?: string } // reason: for people, when it was not their wish
  | { status: "signedIn"; identity: Identity };

const renewBefore = 60; // seconds before the end of a token
const patience = 15_000; // ms for one call of the token endpoint

type Grant = { token: string; endsAt: number; identity: Identity };

// createSession keeps token and secret in this closure alone: no storage, no
// component, no cache and no global ever holds them, and a reload of the page
// forgets them. The secret stays because a token lives an hour at most, and the
// grant that agents have (RFC 6749 section 4.4) knows no refresh token.
export function createSession(fetcher: typeof fetch = (...a) => fetch(...a), now = () => Date.now()) {
  let secret = "";
  let grant: Grant | undefined;
  let renewing: Promise<Grant> | undefined;
  let state: SessionState = { status: "signedOut" };
  const listeners = new Set<() => void>();

  function become(next: SessionState) {
    state = next;
    for (const tell of listeners) tell();
  }

  async function request(clientId: string, clientSecret: string): Promise<Grant> {
    const began = now();
    let response: Response;
    try {
      response = await fetcher(`${apiBase}/api/v1/token`, {
        method: "POST",
        headers: { Authorization: basic(clientId, clientSecret) },
        body: new URLSearchParams({ grant_type: "client_credentials" }),
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.timeout(patience),
      });
    } catch {
      throw unreachable();
    }
    const body: unknown = await response.json().catch(() => undefined);
    if (!response.ok) throw problemOf(response, body);
    const {
      access_token: token,
      expires_in: seconds,
      scope,
    } = body as { access_token: string; expires_in: number; scope: string };
    const claims = claimsOf(token);
    const identity = {
      agentId: claims.sub,
      organizationId: claims.org,
      clientId,
      scope: scope.split(" ").filter(Boolean),
    };
    return { token, endsAt: began + seconds * 1000, identity };
  }

  // renew asks for another token, once for all who need one now.
  function renew(): Promise<Grant> {
    if (!grant)
      return Promise.reject(new Problem({ status: 401, code: "UNAUTHENTICATED", message: "you are signed out" }));
    const clientId = grant.identity.clientId;
    renewing ??= request(clientId, secret)
      .then(
        (next) => {
          if (!grant) throw new Problem({ status: 401, code: "UNAUTHENTICATED", message: "you are signed out" });
          grant = next;
          become({ status: "signedIn", identity: next.identity });
          return next;
        },
        (error: Problem) => {
          if (!error.passing) signOut(explain(error));
          throw error;
        },
      )
      .finally(() => {
        renewing = undefined;
      });
    return renewing;
  }

  async function current(): Promise<Grant> {
    if (!grant) return renew();
    const left = grant.endsAt - now();
    if (left > renewBefore * 1000) return grant;
    try {
      return await renew();
    } catch (error) {
      if (left > 0 && grant) return grant; // good for a little longer
      throw error;
    }
  }

  function signOut(reason?: string) {
    secret = "";
    grant = undefined;
    become(reason === undefined ? { status: "signedOut" } : { status: "signedOut", reason });
  }

  return {
    state: () => state,
    subscribe(tell: () => void) {
      listeners.add(tell);
      return () => void listeners.delete(tell);
    },

    async signIn(clientId: string, clientSecret: string): Promise<void> {
      grant = await request(clientId, clientSecret);
      secret = clientSecret;
      become({ status: "signedIn", identity: grant.identity });
    },

    signOut,

    // fetch sends a request with the token. After a 401 it asks once for another
    // token: a lost capability or a revoked key kills tokens, not the right to
    // have one. When there is none, the session is over.
    async fetch(request: Request): Promise<Response> {
      const again = request.clone();
      const first = await current();
      const response = await fetcher(bearing(request, first.token));
      if (response.status !== 401 || !grant) return response;
      const second = grant.token === first.token ? await renew() : grant;
      const repeated = await fetcher(bearing(again, second.token));
      if (repeated.status === 401) signOut("Your session has ended: the IdP does not accept its tokens any more.");
      return repeated;
    },
  };
}

export const session = createSession();

function bearing(request: Request, token: string): Request {
  const sent = new Request(request, { credentials: "omit", cache: "no-store" });
  sent.headers.set("Authorization", `Bearer ${token}`);
  return sent;
}

// basic is RFC 6749 section 2.3.1: both parts are form-encoded first.
function basic(clientId: string, clientSecret: string): string {
  const encode = (text: string) => new URLSearchParams({ v: text }).toString().slice(2);
  return `Basic ${btoa(`${encode(clientId)}:${encode(clientSecret)}`)}`;
}

// claimsOf reads a token that the IdP just gave us; nothing trusts it.
function claimsOf(token: string): { sub: string; org: string } {
  const payload = token.split(".")[1] ?? "";
  const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)) as { sub: string; org: string };
}

function explain(problem: Problem): string {
  if (problem.code === "unauthorized_client") return `You were signed out: ${problem.message}.`;
  if (problem.code === "invalid_client")
    return "You were signed out: the credential is revoked, expired or was rotated.";
  return `You were signed out: ${problem.message} (${problem.code}).`;
}
