import { expect, test } from "vitest";
import { covers } from "../../src/capability.js";
import { Client } from "../../src/client.js";
import { ConfigError, ConnectionError, InvalidAnswerError } from "../../src/error.js";
import { assertionKeyOf } from "../../src/private-key.js";
import { undiciInterceptor } from "../../src/undici.js";
import { Verifier } from "../../src/verifier.js";
import { FakeClock } from "../support/clock.js";
import { type Asked, answerOf, goodToken, scripted } from "../support/fetch.js";

const credential = { url: "https://idp.example.com/", clientId: "c", clientSecret: "s" };

/** A client whose calls get these answers, and what it asked. */
function client(...answers: (string | (() => Response | Promise<Response>))[]) {
  const asked: Asked[] = [];
  const fetch = scripted((one) => {
    if (one.url.endsWith("/api/v1/token")) return goodToken();
    asked.push(one);
    const answer = answers[asked.length - 1] ?? "{}";
    return typeof answer === "string" ? answerOf(200, answer) : answer();
  });
  return { asked, client: new Client({ ...credential, fetch }, new FakeClock()) };
}

test("lists are asked for page by page", async () => {
  const page = (from: number, to: number, total: number) =>
    JSON.stringify({ data: Array.from({ length: to - from }, (_, i) => ({ credentialId: `${from + i}` })), total });
  const { client: one, asked } = client(page(0, 100, 150), page(100, 150, 150));
  const ids: string[] = [];
  for await (const each of one.credentials.list("a/b")) ids.push(each.credentialId);
  expect(ids).toHaveLength(150);
  const base = "https://idp.example.com/api/v1/agents/a%2Fb/credentials";
  expect(asked.map((each) => each.url)).toEqual([`${base}?page=1&limit=100`, `${base}?page=2&limit=100`]);

  const next = client('{"data":[{"agentId":"1"}],"nextCursor":"x"}', '{"data":[{"agentId":"2"}]}');
  const agents: string[] = [];
  for await (const each of next.client.agents.list({ search: "e", status: "active" })) agents.push(each.agentId);
  expect(agents).toEqual(["1", "2"]);
  expect(next.asked[1]?.url).toBe("https://idp.example.com/api/v1/agents?cursor=x&limit=100&status=active&q=e");
});

test("an id is one segment of a path, or none", async () => {
  const { client: one } = client();
  for (const id of ["", ".", ".."]) expect(() => one.agents.get(id)).toThrow(TypeError);
  expect(() => one.tokens.introspect("")).toThrow(TypeError);
});

test("times and empty parameters", async () => {
  const { client: one, asked } = client('{"data":[]}');
  await one.audit.page({ from: new Date(0), search: "", action: "token.issued" });
  expect(asked[0]?.url).toBe(
    "https://idp.example.com/api/v1/audit?from=1970-01-01T00%3A00%3A00.000Z&action=token.issued",
  );
});

test("answers that are none", async () => {
  const large = client(() => answerOf(200, "x".repeat((16 << 20) + 1)));
  await expect(large.client.keys.list()).rejects.toThrow(InvalidAnswerError);
  await expect(client("<html>").client.keys.list()).rejects.toThrow(InvalidAnswerError);
  const unsigned = client("a.b.c").client.revocations.feed();
  await expect(unsigned).rejects.toThrow(InvalidAnswerError);
  const unhealthy = client(() => answerOf(503, '{"status":"unavailable"}')).client.server.health();
  expect(await unhealthy).toEqual({ status: "unavailable" });
});

test("a call that came too late is not repeated, as it may have been done", async () => {
  const late = () => Promise.reject(new DOMException("late", "TimeoutError"));
  const { client: one, asked } = client(late);
  const error = await one.keys.list().catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ConnectionError);
  expect([(error as ConnectionError).late, asked.length]).toEqual([true, 1]);
});

test("the caller's abort is the caller's error", async () => {
  const abort = new AbortController();
  const { client: one } = client(() => {
    abort.abort(new Error("enough"));
    return Promise.reject(abort.signal.reason);
  });
  await expect(one.keys.list({ signal: abort.signal })).rejects.toThrow("enough");
});

test("the source's error is final: it has tried already", async () => {
  let asked = 0;
  const fetch = scripted(() => {
    asked++;
    return answerOf(503, '{"error":"temporarily_unavailable"}');
  });
  const one = new Client({ ...credential, fetch }, new FakeClock());
  await expect(one.keys.list()).rejects.toMatchObject({ status: 503, code: "temporarily_unavailable" });
  expect(asked).toBe(4);
});

test("too many new events between two looks", async () => {
  let sequence = 20_000;
  const events = () => Array.from({ length: 100 }, () => ({ sequence: sequence-- }));
  let first = true;
  const answer = () => {
    const data = first ? [{ sequence: 1 }] : events();
    first = false;
    return answerOf(200, JSON.stringify({ data, ...(data.length > 1 && { nextCursor: "more" }) }));
  };
  const fetch = scripted(({ url }) => (url.endsWith("/api/v1/token") ? goodToken() : answer()));
  const tail = new Client({ ...credential, fetch }, new FakeClock()).audit.tail();
  await expect(tail.next()).rejects.toThrow(RangeError);
});

test("an export that breaks off says so", async () => {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from("one\n"));
    },
    pull(controller) {
      controller.error(new TypeError("terminated"));
    },
  });
  const { client: one } = client(() => new Response(body));
  const read = async () => {
    for await (const _ of one.audit.export("ndjson", { to: new Date() }));
  };
  await expect(read()).rejects.toThrow("the export is incomplete");
  const gone = client(() => Promise.reject(new TypeError("fetch failed"))).client.audit.export("csv");
  await expect(gone.next()).rejects.toThrow(ConnectionError);
});

test("configurations that cannot work", () => {
  expect(() => new Client({ url: "idp" })).toThrow(ConfigError);
  expect(() => new Client({ ...credential, clientSecret: "" })).toThrow(ConfigError);
  expect(() => new Verifier({ issuer: "", audience: "a" })).toThrow(TypeError);
  expect(() => assertionKeyOf({ kty: "RSA", n: "x" })).toThrow(ConfigError);
});

test("the interceptor takes headers in each of undici's forms", async () => {
  const source = { accessToken: async () => "t" } as never;
  const forms = [
    undefined,
    ["x", "1", "Authorization", "Basic a"],
    { x: ["1", "2"], y: undefined },
    new Headers({ x: "1" }),
    [["x", "1"]],
  ];
  for (const headers of forms) {
    const sent = await new Promise<string[]>((resolve) => {
      const dispatch = (options: { headers?: string[] }) => {
        resolve(options.headers ?? []);
        return true;
      };
      undiciInterceptor(source)(dispatch)({ headers } as never, {});
    });
    expect(sent.slice(-2)).toEqual(["authorization", "Bearer t"]);
    expect(sent.filter((each) => each.toLowerCase() === "authorization")).toHaveLength(1);
  }
  const failing = { accessToken: () => Promise.reject(new Error("away")) } as never;
  const intercept = undiciInterceptor(failing)(() => true);
  const told = new Promise((resolve) => intercept({}, { onResponseError: (_, error) => resolve(error) }));
  expect(await told).toEqual(new Error("away"));
  expect(await new Promise((resolve) => intercept({}, { onError: resolve }))).toEqual(new Error("away"));
});

test("capabilities and what covers them", () => {
  const rows: [string, string, boolean][] = [
    ["notes:read", "notes:read", true],
    ["a:b notes:*", "notes:read", true],
    ["notes:read", "notes:*", false],
    ["*:read", "notes:read", true],
    ["*:read", "notes:write", false],
    ["*:*", "agents:read", false],
    ["agents:*", "agents:read", true],
    ["", "notes:read", false],
    ["*:*", "", false],
    ["*:*", "notes", false],
  ];
  for (const [scope, capability, want] of rows) expect(covers(scope, capability), `${scope} ${capability}`).toBe(want);
});
