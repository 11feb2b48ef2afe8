import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../support/stage.js";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "agentidp-sdk-package-"));
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, "@agentidp/sdk"), { recursive: true });
  for (const file of ["package.json", ...manifest.files])
    cpSync(join(root, file), join(modules, "@agentidp/sdk", file), { recursive: true });
  for (const name of ["jose", "@types"]) symlinkSync(join(root, "node_modules", name), join(modules, name));
});

afterAll(() => rmSync(project, { recursive: true }));

test("one runtime dependency", () => {
  expect(Object.keys(manifest.dependencies)).toEqual(["jose"]);
  expect(manifest.peerDependencies).toBeUndefined();
});

test("what is installed works as an ES module and as CommonJS, and both give the same", () => {
  writeFileSync(
    join(project, "a.mjs"),
    'import * as sdk from "@agentidp/sdk"; console.log(Object.keys(sdk).sort().join());',
  );
  writeFileSync(join(project, "a.cjs"), 'console.log(Object.keys(require("@agentidp/sdk")).sort().join());');
  const said = ["a.mjs", "a.cjs"].map((file) =>
    execFileSync(process.execPath, [file], { cwd: project, encoding: "utf8" }),
  );
  expect(said[0]).toContain("TokenSource");
  expect(said[1]).toBe(said[0]);
});

test("its types serve both", () => {
  const program = `
    ${"import"} { Client, requireToken, TokenSource, Verifier, type Agent } from "@agentidp/sdk";
    import type { IncomingMessage } from "node:http";
    const source: TokenSource = new TokenSource({ url: "https://idp.example.com", clientId: "c", clientSecret: "s" });
    export const text: Promise<string> = source.fetch("https://api.example.com").then((answer) => answer.text());
    export async function emails(client: Client): Promise<string[]> {
      const all: string[] = [];
      for await (const agent of client.agents.list({ status: "active" })) all.push((agent satisfies Agent).email);
      return all;
    }
    // @ts-expect-error: no such status
    export const wrong = (client: Client) => client.agents.list({ status: "gone" });
    export const middleware = requireToken(new Verifier({ issuer: "https://idp.example.com", audience: "a" }));
    export const subject = (request: IncomingMessage & { agent?: { subject: string } }) => request.agent?.subject;
  `;
  writeFileSync(join(project, "b.mts"), program);
  writeFileSync(join(project, "b.cts"), program);
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"];
  const run = () =>
    execFileSync(process.execPath, [tsc, ...options, "b.mts", "b.cts"], {
      cwd: project,
      encoding: "utf8",
      stdio: "pipe",
    });
  expect(attempt(run)).toBe("");
});

function attempt(run: () => string): string {
  try {
    return run();
  } catch (error) {
    return (error as { stdout?: string }).stdout || String(error);
  }
}
