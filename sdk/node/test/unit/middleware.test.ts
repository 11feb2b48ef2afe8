import { createServer, request as httpRequest, type Server } from "node:http";
import express from "express";
import fastify, { type FastifyRequest } from "fastify";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Authenticated, fastifyToken, requireToken, TokenRefusedError, UndecidedError } from "../../src/index.js";
import { Verifier } from "../../src/verifier.js";
import { FakeClock } from "../support/clock.js";
import { answerOf, scripted } from "../support/fetch.js";
import { portOf } from "../support/mcp-server.js";
import { vectors } from "../support/vectors.js";

const { issuer, audience, now, cases } = vectors<{
  issuer: string;
  audience: string;
  now: number;
  cases: { name: string; token: string; expect: string }[];
}>("tokens");
const keys = vectors<{ documents: { name: string; body: string }[] }>("jwks").documents[1]?.body ?? "";
const token = (name: string) => cases.find((each) => each.name === name)?.token ?? "";
const good = token("as the IdP makes it");

const verifier = new Verifier(
  { issuer, audience, fetch: scripted(() => answerOf(200, keys)) },
  new FakeClock(now, true),
);
const away = new Verifier({ issuer, audience, fetch: scripted(() => answerOf(503, "")) }, new FakeClock(now, true));
const broken = { verify: () => Promise.reject(new Error("defect")) };

const demands = {
  "/read": ["notes:read", verifier],
  "/admin": ["notes:admin", verifier],
  "/any": [undefined, verifier],
} as const;

async function expressServer(): Promise<Server> {
  const app = express();
  for (const [path, [scope, checks]] of Object.entries(demands)) {
    app.get(path, requireToken(checks, { scope }), (request: express.Request & Authenticated, response) => {
      response.json({ caller: request.agent?.subject });
    });
  }
  app.get("/away", requireToken(away), (_, response) => void response.end());
  app.get("/broken", requireToken(broken));
  app.use((_error: unknown, _request: unknown, response: express.Response, _next: unknown) => {
    response.status(500).end();
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function fastifyServer(): Promise<Server> {
  const app = fastify();
  const caller = async (request: FastifyRequest & Authenticated) => ({ caller: request.agent?.subject });
  for (const [path, [scope, checks]] of Object.entries(demands)) {
    app.get(path, { onRequest: fastifyToken(checks, { scope }) }, caller);
  }
  app.get("/away", { onRequest: fastifyToken(away) }, caller);
  app.get("/broken", { onRequest: fastifyToken(broken) }, caller);
  await app.listen({ port: 0, host: "127.0.0.1" });
  return app.server;
}

interface Said {
  status: number;
  challenge?: string;
  body: { caller?: string; details?: { reason: string } };
}

function ask(server: Server, path: string, headers: string[]): Promise<Said> {
  return new Promise((resolve, reject) => {
    const host = ["Host", "api.example.com"];
    const asking = httpRequest({
      port: portOf(server),
      host: "127.0.0.1",
      path,
      agent: false,
      headers: [...host, ...headers] as never,
    });
    asking.on("error", reject).on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      const challenge = response.headers["www-authenticate"];
      const status = response.statusCode ?? 0;
      resolve({ status, body: status === 500 ? {} : JSON.parse(text), ...(challenge && { challenge }) });
    });
    asking.end();
  });
}

describe.each([
  ["Express", expressServer],
  ["Fastify", fastifyServer],
])("%s", (_, start) => {
  let server: Server;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => void server.close());

  const bearer = (text: string) => ["Authorization", `Bearer ${text}`];
  const invalid = 'Bearer error="invalid_token"';
  test.each<[string, string, string[], number, string | undefined, string | undefined]>([
    ["a good token", "/read", bearer(good), 200, undefined, undefined],
    ["the scheme in another case", "/any", ["authorization", `bEARER ${good}`], 200, undefined, undefined],
    ["no token", "/read", [], 401, "Bearer", "token_missing"],
    ["another scheme", "/read", ["Authorization", "Basic YTpi"], 401, "Bearer", "token_missing"],
    ["two credentials", "/read", [...bearer(good), ...bearer(good)], 401, "Bearer", "token_missing"],
    ["two in one", "/read", bearer(`${good}, Bearer ${good}`), 401, "Bearer", "token_missing"],
    ["an expired one", "/read", bearer(token("expired")), 401, invalid, "expired"],
    ["a forged one", "/read", bearer(token("RS384 signature, alg RS256")), 401, invalid, "signature"],
    [
      "not for this",
      "/admin",
      bearer(good),
      403,
      'Bearer error="insufficient_scope", scope="notes:admin"',
      "capability_missing",
    ],
    ["keys that are not known", "/away", bearer(good), 503, undefined, "keys_stale"],
    ["a defect lets nobody in", "/broken", bearer(good), 500, undefined, undefined],
  ])("%s", async (_, path, headers, status, challenge, reason) => {
    const said = await ask(server, path, headers);
    expect([said.status, said.challenge, said.body.details?.reason]).toEqual([status, challenge, reason]);
    if (status === 200) expect(said.body.caller).toMatch(/^[0-9a-f-]{36}$/);
  });
});

test("errors say what to answer, and nothing of the token", () => {
  expect(new TokenRefusedError("expired")).toMatchObject({ status: 401, message: "the token is refused: expired" });
  expect(new UndecidedError("keys_stale")).toMatchObject({ status: 503, reason: "keys_stale" });
});
