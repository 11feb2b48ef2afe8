import { generateKeyPairSync } from "node:crypto";
import type { Server } from "node:http";
import { Agent as Dispatcher, request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  Client,
  ConfigError,
  ConnectionError,
  type CredentialWithSecret,
  fromFile,
  NotStoredError,
  rotateCredential,
  TokenSource,
  undiciInterceptor,
  Verifier,
} from "../../src/index.js";
import { portOf, startMcpServer } from "../support/mcp-server.js";
import { run, serve } from "../support/program.js";
import { eventually, Stage } from "../support/stage.js";

let stage: Stage;
let mcp: Server;

beforeAll(async () => {
  mcp = await startMcpServer();
  stage = await Stage.start(`
routes:
  - { methods: [GET], path: /notes, capability: "notes:read" }
  - { methods: [POST], path: /notes, capability: "notes:write" }
  - { methods: [GET], path: "/notes/{id}", capability: "notes:read", rateLimit: { requests: 1, per: 1h } }
  - { path: /mcp, capability: "mcp:use", protocol: mcp, upstream: tools }
upstreams:
  tools: { urls: ["http://127.0.0.1:${portOf(mcp)}"] }
`);
});

afterAll(async () => {
  await stage?.stop();
  mcp?.close();
});

/** What the verifier says, once it says that. */
function becomes(verifier: Verifier, token: string, verdict: string): Promise<string> {
  const attempt = () =>
    verifier.verify(token).then(
      () => "accept",
      (error) => String(error.reason ?? error),
    );
  return eventually(attempt, (said) => said === verdict);
}

const status = async (answer: Promise<Response>) => (await answer).status;

test("an agent calls the API: fetch, undici, a body, a refusal", async () => {
  const agent = await stage.register(["notes:read"]);
  const source = new TokenSource(stage.config(agent));
  expect(await status(source.fetch(`${stage.sidecar}/notes`))).toBe(200);
  const denied = await source.fetch(`${stage.sidecar}/notes`, { method: "POST", body: '{"text":"x"}' });
  expect([denied.status, denied.headers.get("x-agentidp-error")]).toEqual([403, "capability_missing"]);

  const dispatcher = new Dispatcher().compose(undiciInterceptor(source));
  const { statusCode, body } = await request(`${stage.sidecar}/notes`, { dispatcher, headers: { accept: "*/*" } });
  await body.dump();
  expect(statusCode).toBe(200);
  await dispatcher.close();
});

test("the API's own 429 reaches the caller", async () => {
  const source = new TokenSource(stage.config(await stage.register(["notes:read"])));
  await source.fetch(`${stage.sidecar}/notes/1`);
  const limited = await source.fetch(`${stage.sidecar}/notes/1`);
  expect(limited.status).toBe(429);
  expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
});

test("a private key instead of a secret", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "key-1" };
  const { agent } = await stage.register(["notes:read"], { jwks: { keys: [jwk as never] } });
  const { clientId } = await stage.admin.credentials.create(agent.agentId, { authMethod: "private_key_jwt" });
  const config = { url: stage.idp, clientId, privateKey, keyId: "key-1" };
  const source = new TokenSource({ ...config, resources: [stage.resource], scopes: ["notes:read"] });
  expect((await source.token()).scope).toBe("notes:read");
  expect(await status(source.fetch(`${stage.sidecar}/notes`))).toBe(200);
  await expect(rotateCredential(new Client(config), { store: () => {} })).rejects.toThrow(ConfigError);
});

test("the management API: agents, credentials, tokens, keys, the rest", async ({ annotate }) => {
  const { admin } = stage;
  const { agent, credentialId, clientId, clientSecret } = await stage.register(["notes:read"]);
  const { agentId, email } = agent;
  expect((await admin.agents.get(agentId)).email).toBe(email);
  expect((await admin.agents.update(agentId, { owner: "others" })).owner).toBe("others");
  const found: string[] = [];
  for await (const each of admin.agents.list({ search: email })) found.push(each.agentId);
  expect(found).toEqual([agentId]);
  expect((await admin.agents.page({ owner: "others" }, { limit: 1 })).data).toHaveLength(1);
  expect((await admin.agents.usage(agentId)).agentId).toBe(agentId);
  await expect(admin.agents.create({ ...agent, email, capabilities: ["notes:read"] } as never)).rejects.toMatchObject({
    name: "RefusedError",
    status: 400,
    code: "VALIDATION_FAILED",
    requestId: expect.stringMatching(/./),
    details: { fields: expect.arrayContaining([expect.objectContaining({ field: "agentId" })]) },
  });

  const source = new TokenSource({ url: stage.idp, clientId, clientSecret });
  const token = await source.accessToken();
  expect(await admin.tokens.introspect(token)).toMatchObject({ active: true, sub: agentId });
  await admin.tokens.revoke(token, "test");
  expect(await admin.tokens.introspect(token)).toEqual({ active: false });

  const credentials: string[] = [];
  for await (const each of admin.credentials.list(agentId)) credentials.push(each.credentialId);
  expect(credentials).toEqual([credentialId]);
  await admin.credentials.revoke(agentId, credentialId, { revokeTokens: true, reason: "test" });
  source.forget();
  await expect(source.token()).rejects.toMatchObject({ name: "RefusedError", status: 401, code: "invalid_client" });
  await admin.agents.decommission(agentId, "test");
  expect((await admin.agents.get(agentId)).status).toBe("decommissioned");

  expect((await admin.keys.list()).data[0]?.alg).toBe("RS256");
  expect((await admin.policies.get()).source).toBe("builtIn");
  const input = { route: { id: "r", capability: "notes:read" }, token: { scope: ["notes:read"] } };
  expect(await admin.policies.evaluate(input as never)).toMatchObject({ allow: expect.any(Boolean) });
  const sidecars: boolean[] = [];
  for await (const sidecar of admin.sidecars.list()) sidecars.push(sidecar.connected);
  expect(sidecars).toEqual([true]);
  expect((await admin.server.stats({ step: "1h" })).step).toBe("1h");
  const open = new Client({ url: `${stage.idp}/` });
  const began = Date.now();
  await eventually(
    () => open.server.health(),
    (health) => health.status === "ok", // degraded until the first status lists are made
  );
  await annotate(`health was ok after ${Date.now() - began} ms`);
  expect((await open.server.metadata()).issuer).toBe(open.url);
  expect((await open.server.jwks()).keys[0]?.kty).toBe("RSA");
  await expect(open.agents.get(agentId)).rejects.toThrow(ConfigError);
  expect(await new Client(fromFile(stage.adminFile, stage.idp)).accessToken()).toMatch(/^ey/);
});

test("organizations and revocations", async () => {
  const { admin } = stage;
  const { organization } = await admin.organizations.create({ organizationId: "sdk-node", name: "SDK" });
  expect((await admin.organizations.update(organization.organizationId, { name: "Node" })).name).toBe("Node");
  expect((await admin.organizations.get("sdk-node")).name).toBe("Node");
  expect((await admin.organizations.usage("sdk-node")).agentsUsed).toBe(1);
  const all: string[] = [];
  for await (const each of admin.organizations.list()) all.push(each.organizationId);
  expect(all).toContain("sdk-node");

  const { agent } = await stage.register(["notes:read"]);
  const before = await admin.revocations.feed(); // signed
  expect((await admin.revocations.preview("agent", agent.agentId)).liveTokens).toBe(0);
  const entry = await admin.revocations.create({ type: "agent", id: agent.agentId, reason: "test" });
  const news = await admin.revocations.feed({ after: before.cursor, wait: 5 });
  expect(news.entries.map((each) => each.id)).toContain(agent.agentId);
  expect(entry.id).toBe(agent.agentId);
});

test("the audit log: pages, one event and its proof, a tail, an export", async () => {
  const { admin } = stage;
  const { agent, clientId, clientSecret } = await stage.register(["notes:read"]);
  const source = new TokenSource({ url: stage.idp, clientId, clientSecret });
  for (let i = 0; i < 102; i++) {
    source.forget();
    await source.token();
  }
  const sequences: number[] = [];
  for await (const event of admin.audit.events({ agentId: agent.agentId, action: "token.issued" })) {
    sequences.push(event.sequence);
  }
  expect(sequences).toHaveLength(102);
  expect(sequences).toEqual([...sequences].sort((a, b) => b - a));

  const { data } = await admin.audit.page({ agentId: agent.agentId }, { limit: 1 });
  const newest = data[0];
  if (!newest) throw new Error("no event");
  const { event, leaf } = await admin.audit.get(newest.eventId);
  expect(JSON.parse(new TextDecoder().decode(leaf))).toEqual(event);
  const proven = () => admin.audit.inclusionProof(event.sequence).catch(() => undefined);
  const proof = await eventually(proven, (proof) => proof !== undefined);
  expect(proof?.leafIndex).toBe(event.sequence);
  expect(await admin.audit.checkpoint()).toContain("/audit\n");
  const size = proof?.treeSize ?? 0;
  expect((await admin.audit.consistencyProof(1, size)).secondSize).toBe(size);

  const end = new AbortController();
  const tailed: string[] = [];
  for await (const event of admin.audit.tail({ agentId: agent.agentId }, { last: 2, every: 50, signal: end.signal })) {
    tailed.push(event.action);
    if (tailed.length === 2) await admin.agents.update(agent.agentId, { owner: "tail" }).then(() => source.forget());
    if (tailed.length === 2) await source.token();
    if (tailed.length === 3) end.abort();
  }
  expect(tailed).toEqual(["token.issued", "token.issued", "token.issued"]);

  const lines = async () => {
    let exported = "";
    for await (const chunk of admin.audit.export("ndjson")) exported += new TextDecoder().decode(chunk);
    return exported.split("\n").length;
  };
  await eventually(lines, (n) => n > 103); // what the next checkpoint signs
  const stranger = new Client({ url: stage.idp, clientId, clientSecret }).audit.export("csv");
  await expect(stranger.next()).rejects.toMatchObject({ name: "RefusedError", status: 403 });
});

test("a rotation: no call fails, the old secret ends with the overlap, what cannot be stored is not lost", async () => {
  const registered = await stage.register(["notes:read"]);
  const client = new Client({ ...stage.config(registered), resources: [] });
  const source = new TokenSource(stage.config(registered));
  const stored: CredentialWithSecret[] = [];
  let rotating = true;
  const calls = (async () => {
    const seen = new Set<number>();
    let after = 0;
    for (let i = 0; rotating || after < 3; i++) {
      if (i % 2 === 0) source.forget(); // ask with whatever secret is in use
      seen.add(await status(source.fetch(`${stage.sidecar}/notes`)));
      if (!rotating) after++;
    }
    return [...seen];
  })();
  const rotation = { sources: [source], store: (made: CredentialWithSecret) => void stored.push(made) };
  const rotated = await rotateCredential(client, rotation);
  rotating = false;
  expect(await calls).toEqual([200]);
  expect(stored).toEqual([rotated]);
  expect(rotated.clientId).toBe(registered.clientId);
  expect(rotated.clientSecret).not.toBe(registered.clientSecret);

  const old = new TokenSource(stage.config(registered));
  await old.token(); // the overlap
  const full = new Error("disk full");
  const lost = rotateCredential(client, { sources: [source], overlapSeconds: 0, store: () => Promise.reject(full) });
  const error = await lost.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(NotStoredError);
  expect((error as NotStoredError).cause).toBe(full);
  const { clientSecret = "" } = (error as NotStoredError).credential;
  await new TokenSource(stage.config({ ...registered, clientSecret })).token();
  source.forget();
  await source.token();
  old.forget();
  await expect(old.token()).rejects.toMatchObject({ code: "invalid_client" });
});

test("a suspension ends the tokens that are out, for sidecar and verifiers", async () => {
  const registered = await stage.register(["notes:read"]);
  const source = new TokenSource(stage.config(registered));
  const base = { issuer: stage.idp, audience: stage.resource };
  const [plain, listed] = [new Verifier(base), new Verifier({ ...base, revocation: "status-list" })];
  const asking = new Verifier({ ...base, revocation: stage.admin });
  const token = await source.accessToken();
  const claims = await plain.verify(token);
  expect(claims).toMatchObject({ subject: registered.agent.agentId, scope: "notes:read", organization: "default" });
  await becomes(listed, token, "accept");
  await becomes(asking, token, "accept");

  await stage.admin.agents.suspend(registered.agent.agentId, "test");
  await becomes(asking, token, "token_revoked");
  await becomes(listed, token, "token_revoked");
  await becomes(plain, token, "accept"); // it does not ask
  await eventually(
    () => status(source.fetch(`${stage.sidecar}/notes`).catch(() => new Response(null, { status: 401 }))),
    (s) => s === 401,
  );
  source.forget();
  await expect(source.fetch(`${stage.sidecar}/notes`)).rejects.toMatchObject({ code: "unauthorized_client" });

  await stage.admin.agents.reactivate(registered.agent.agentId);
  await eventually(
    () => status(source.fetch(`${stage.sidecar}/notes`)),
    (s) => s === 200,
  );
});

test("the IdP is away, and comes back", async () => {
  const registered = await stage.register(["notes:read"]);
  const source = new TokenSource(stage.config(registered));
  const verifier = new Verifier({ issuer: stage.idp, audience: stage.resource });
  await verifier.verify(await source.accessToken());
  await stage.tell("stop-idp");
  try {
    expect(await status(source.fetch(`${stage.sidecar}/notes`))).toBe(200);
    await verifier.verify(await source.accessToken());
    await expect(new TokenSource(stage.config(registered)).token()).rejects.toThrow(ConnectionError);
    await expect(stage.admin.agents.get("a")).rejects.toThrow(ConnectionError);
    const asking = new Verifier({ issuer: stage.idp, audience: stage.resource, revocation: "status-list" });
    await becomes(asking, await source.accessToken(), "keys_stale");
  } finally {
    await stage.tell("start-idp");
  }
  source.forget();
  await verifier.verify(await source.accessToken());
  expect(await status(source.fetch(`${stage.sidecar}/notes`))).toBe(200);
});

test("example: an agent calls a protected API, and calls are counted", async () => {
  const environment = {
    ...stage.environment(await stage.register(["notes:read", "notes:write"])),
    API_URL: stage.resource,
  };
  const said = await run("agent.mjs", environment);
  expect(said).toMatch(/POST \/notes: 201\nGET \/notes: 200/);
  expect(said).toContain("hello from Node.js");
  expect(await run("thousand-calls.mjs", { ...environment, CALLS: "20" })).toMatch(/20 calls, 20 at a time/);
});

test("example: an MCP client sees and calls the tools that it may", async () => {
  const user = await stage.register(["mcp:use", "mcp:tool/add"]);
  const server = { MCP_URL: `${stage.sidecar}/mcp`, MCP_RESOURCE: stage.resource };
  expect(await run("mcp-client.mjs", { ...stage.environment(user), ...server })).toMatch(/^tools: add\nadd: .*'5'/);
});

test("example: an Express server verifies tokens", async () => {
  const reader = await stage.register(["notes:read"]);
  const resource = "https://notes.example.com";
  const server = await serve("express-server.mjs", { AGENTIDP_URL: stage.idp, API_RESOURCE: resource, PORT: "0" });
  try {
    const source = new TokenSource({ ...stage.config(reader), resources: [resource] });
    const answer = await source.fetch(`${server.url}/notes`);
    expect(await answer.json()).toEqual({ caller: reader.agent.agentId, notes: [] });
    const bare = await fetch(`${server.url}/notes`);
    expect([bare.status, bare.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    await bare.body?.cancel();
  } finally {
    await server.end();
  }
});

test("an emergency: another key signs, old tokens die, client, source and verifier go on", async () => {
  const source = new TokenSource(stage.config(await stage.register(["notes:read"])));
  const verifier = new Verifier({ issuer: stage.idp, audience: stage.resource });
  const old = await source.accessToken();
  await verifier.verify(old);
  await stage.admin.keys.rotate({ emergency: true, reason: "test" });
  const { total } = await stage.admin.agents.page(); // its own token is dead, too
  expect(total).toBeGreaterThan(0);
  source.forget();
  await becomes(verifier, await source.accessToken(), "accept");
  await becomes(verifier, old, "unknown_key");
  await eventually(
    () => status(source.fetch(`${stage.sidecar}/notes`)),
    (s) => s === 200,
  );
});
