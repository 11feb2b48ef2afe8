import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Visitor } from "./browser";
import { type Agent, Stage } from "./stage";

let stage: Stage;
let browser: Browser;
let reader: Agent;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
  reader = await stage.register("judged@example.com", { capabilities: ["notes:read", "mcp:call"] });
  const token = await stage.token(reader.credential, stage.resource);
  expect(await stage.call(token, "GET", "/notes")).toBe(200);
  expect(await stage.call(token, "POST", "/notes")).toBe(403);
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

const busy = /status of 503/; // a loaded machine may say so; the page asks again

async function arrive(path: string): Promise<Visitor> {
  const v = await Visitor.arrive(browser, stage, [busy]);
  await v.open(path);
  await v.signIn();
  await v.heading("Policies");
  return v;
}

test("the policy in force, its sidecars and its routes", async () => {
  const { revision } = await stage.api<{ revision: string }>("GET", "/api/v1/policies");
  const v = await arrive("/policies");
  await v.page.getByRole("region", { name: "In force" }).getByText(revision).waitFor();
  await v.page.getByRole("region", { name: "At the sidecars" }).getByText("notes-sidecar@example.com").waitFor();
  const behind = v.page.getByRole("region", { name: "Routes behind sidecars", exact: true });
  await expect.poll(() => behind.textContent(), { timeout: 60_000 }).toContain("POST /notesnotes:write");
  await v.inspect("policies");
  await v.page.getByRole("searchbox", { name: "Search" }).fill("keys:write");
  const operations = v.page.getByRole("table", { name: "Routes of the management API" });
  await expect.poll(() => operations.locator("tbody tr").count()).toBe(1);
  await operations.getByText("/api/v1/keys/rotate").waitFor();
  await v.page.getByText("authz.rego", { exact: true }).click();
  await v.page.locator("details[open] pre").getByText("default decision :=").waitFor();
  await v.inspect("policies-text");
  await v.leave();
});

test("a decision is tried: allowed, denied, and why", async () => {
  const v = await arrive("/policies");
  const behind = v.page.getByRole("region", { name: "Routes behind sidecars", exact: true });
  await expect.poll(() => behind.textContent(), { timeout: 60_000 }).toContain("notes:write");
  const trial = v.page.getByRole("region", { name: "Try a decision" });
  await trial.getByRole("combobox", { name: "Agent" }).fill("judged");
  await v.page.getByRole("option", { name: "judged@example.com" }).click();
  await trial.getByLabel("Path").fill("/notes");
  await trial.getByText("demands notes:read").waitFor();
  await trial.getByRole("button", { name: "Decide" }).click();
  await trial.getByText("Allowed", { exact: true }).waitFor();
  await v.inspect("policies-allowed");
  await trial.getByLabel("Method").click();
  await v.page.getByRole("option", { name: "POST" }).click();
  await trial.getByRole("button", { name: "Decide" }).click();
  await trial.getByText("Denied", { exact: true }).waitFor();
  await trial.getByText("Nothing in the token’s scope covers the capability.").waitFor();
  await v.inspect("policies-denied");
  await v.leave();
});

test("an agent's right over itself at the management API, by a link", async () => {
  const path = encodeURIComponent(`/api/v1/agents/${reader.agentId}`);
  const v = await arrive(`/policies?agentId=${reader.agentId}&at=management&method=PATCH&path=${path}`);
  const trial = v.page.getByRole("region", { name: "Try a decision" });
  await trial.getByText("Allowed", { exact: true }).waitFor();
  await trial.getByText('{"fields":["metadata","version"]}').waitFor();
  await trial.getByLabel("Path").fill("/api/v1/nothing");
  await trial.getByText("no operation has this method and path").waitFor();
  expect(await trial.getByRole("button", { name: "Decide" }).isDisabled()).toBe(true);
  await v.leave();
});

test("a message is judged twice, and both answers must allow", async () => {
  const v = await arrive("/policies");
  const trial = v.page.getByRole("region", { name: "Try a decision" });
  await trial.getByRole("combobox", { name: "Agent" }).fill("judged");
  await v.page.getByRole("option", { name: "judged@example.com" }).click();
  await trial.getByLabel("Method").click();
  await v.page.getByRole("option", { name: "POST" }).click();
  await trial.getByLabel("Path").fill("/mcp");
  await trial.getByLabel("Route").fill("/mcp");
  await trial.getByLabel("Capability it demands").fill("mcp:call");
  await trial.getByLabel("Message in the body").click();
  await v.page.getByRole("option", { name: "MCP" }).click();
  await trial.getByLabel("Its method").fill("tools/call");
  await trial.getByLabel("Tool or prompt").fill("search");
  await trial.getByRole("button", { name: "Decide" }).click();
  await trial.getByText("Allowed", { exact: true }).waitFor();
  await trial.getByLabel("Capability it needs besides").fill("mcp:tool/search");
  await trial.getByRole("button", { name: "Decide" }).click();
  await trial.getByText("Denied", { exact: true }).waitFor();
  await trial.getByText("mcp:call and mcp:tool/search").waitFor();
  await v.inspect("policies-message");
  await v.leave();
});
