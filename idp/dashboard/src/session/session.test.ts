import { beforeEach, expect, test } from "vitest";
import { createSession } from "./session";

// An IdP of one credential, whose token n is good until it is said to be dead.
let issued: number;
let alive: boolean;
let dead: Set<string>;
let lifetime: number;
let clock: number;
let away: boolean;
const seen: string[] = [];

const tokenOf = (n: number) => `x.${btoa(JSON.stringify({ sub: "a1", org: "default", n }))}.y`;

async function idp(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  if (away) throw new TypeError("failed to fetch");
  const request = new Request(input, init);
  const authorization = request.headers.get("Authorization") ?? "";
  seen.push(`${request.method} ${new URL(request.url).pathname} ${authorization.split(" ")[0]}`);
  if (request.url.endsWith("/api/v1/token")) {
    if (authorization !== `Basic ${btoa("client:s%2B+cret")}`) return json(401, { error: "invalid_client" });
    if (!alive) return json(400, { error: "unauthorized_client", error_description: "agent suspended" });
    return json(200, { access_token: tokenOf(++issued), expires_in: lifetime, scope: "agents:read audit:read" });
  }
  const token = authorization.slice("Bearer ".length);
  return dead.has(token) || !alive
    ? json(401, { code: "UNAUTHENTICATED", message: "no", details: {} })
    : json(200, { token, body: await request.text() });
}

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });

function start() {
  return createSession(idp as typeof fetch, () => clock);
}

async function call(session: ReturnType<typeof start>, body?: string) {
  const response = await session.fetch(
    new Request("http://idp.test/api/v1/x", body === undefined ? {} : { method: "POST", body }),
  );
  return { status: response.status, ...((await response.json()) as { token?: string; body?: string }) };
}

beforeEach(() => {
  issued = 0;
  alive = true;
  away = false;
  dead = new Set();
  lifetime = 3600;
  clock = 1_000_000;
  seen.length = 0;
});

test("signs in with form-encoded Basic authentication and knows who it is", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  expect(session.state()).toEqual({
    status: "signedIn",
    identity: { agentId: "a1", organizationId: "default", clientId: "client", scope: ["agents:read", "audit:read"] },
  });
  expect(JSON.stringify(session.state())).not.toContain("cret");
});

test("a wrong secret leaves nobody signed in", async () => {
  const session = start();
  await expect(session.signIn("client", "wrong")).rejects.toMatchObject({ code: "invalid_client", status: 401 });
  expect(session.state().status).toBe("signedOut");
});

test("another token is fetched before the first ends, once for all calls", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  expect((await call(session)).token).toBe(tokenOf(1));
  clock += 3_541_000;
  const answers = await Promise.all([call(session), call(session), call(session)]);
  expect(answers.map((a) => a.token)).toEqual([tokenOf(2), tokenOf(2), tokenOf(2)]);
});

test("a token that has a minute left is used when the IdP is away for another", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  clock += 3_550_000;
  away = true;
  await expect(call(session)).rejects.toThrow();
  expect(session.state().status).toBe("signedIn");
});

test("a killed token is replaced and the call repeated with its body", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  dead.add(tokenOf(1));
  expect(await call(session, "hello")).toEqual({ status: 200, token: tokenOf(2), body: "hello" });
  expect(session.state().status).toBe("signedIn");
});

test("a suspended agent is signed out and told why", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  alive = false;
  await expect(call(session)).rejects.toMatchObject({ code: "unauthorized_client" });
  expect(session.state()).toEqual({ status: "signedOut", reason: "You were signed out: agent suspended." });
});

test("an IdP that accepts none of its own tokens ends the session instead of a loop", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  dead.add(tokenOf(1)).add(tokenOf(2));
  expect((await call(session)).status).toBe(401);
  expect(session.state().status).toBe("signedOut");
  expect(seen.filter((s) => s.includes("/token"))).toHaveLength(2);
});

test("signing out forgets everything", async () => {
  const session = start();
  await session.signIn("client", "s+ cret");
  session.signOut();
  await expect(call(session)).rejects.toMatchObject({ status: 401 });
  expect(seen).toHaveLength(1);
});
