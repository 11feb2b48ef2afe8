import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client, fromFile, RefusedError, TokenSource } from "../../src/index.js";
import { portOf } from "../support/mcp-server.js";
import { eventually, programs } from "../support/stage.js";

const PER_MINUTE = 20;

let folder: string;
let url: string;
let idp: ChildProcess;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "agentidp-sdk-limits-"));
  const [port, adminPort] = [await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  idp = spawn(join(programs, "agentidp"), ["serve"], {
    env: {
      AGENTIDP_ADDR: `127.0.0.1:${port}`,
      AGENTIDP_ADMIN_ADDR: `127.0.0.1:${adminPort}`,
      AGENTIDP_DATA_DIR: folder,
      AGENTIDP_LIMITS_REQUESTS_PER_MINUTE: String(PER_MINUTE),
    },
    stdio: "ignore",
  });
  const health = () => new Client({ url }).server.health().then((said) => said.status, String);
  await eventually(health, (status) => status === "ok");
});

afterAll(async () => {
  const ended = new Promise((resolve) => idp.once("exit", resolve));
  idp.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true });
});

test("429 of the IdP: the refusal says for how long, and the token that is there is used on", async () => {
  const config = fromFile(join(folder, "admin.json"), url);
  const kept = new TokenSource(config);
  const token = await kept.accessToken();
  const limited = async () => {
    const others = Array.from({ length: PER_MINUTE }, () =>
      fetch(`${url}/api/v1/agents`).then((answer) => answer.text()),
    );
    await Promise.all(others);
    return new TokenSource(config).token().catch((error: unknown) => error);
  };
  const error = await eventually(limited, (result) => result instanceof RefusedError);
  expect(error).toMatchObject({ status: 429, code: "rate_limited", temporary: true });
  expect((error as RefusedError).retryAfter).toBeGreaterThan(0);
  expect(await kept.accessToken()).toBe(token);
});
