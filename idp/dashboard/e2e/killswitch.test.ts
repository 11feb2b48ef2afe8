import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Visitor } from "./browser";
import { type Agent, Stage } from "./stage";

let stage: Stage;
let browser: Browser;
let agent: Agent;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
  agent = await stage.register("screener-001@example.com", { owner: "talent" });
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

// aim opens the kill switch, signed in, at an address.
async function aim(path: string, expected: RegExp[] = []): Promise<Visitor> {
  const v = await Visitor.arrive(browser, stage, expected);
  await v.open(`/kill-switch${path}`);
  await v.signIn();
  await v.heading("Kill switch");
  return v;
}

// strike confirms what is asked by typing the phrase.
async function strike(v: Visitor, button: RegExp, action: string, phrase: string, reason = ""): Promise<void> {
  await v.page.getByRole("button", { name: button }).click();
  const dialog = v.page.getByRole("alertdialog");
  await dialog.getByText("This dies").waitFor();
  expect(await dialog.getByRole("button", { name: action, exact: true }).isDisabled()).toBe(true);
  await dialog.getByLabel(/^Type .* to go on$/).fill(phrase);
  await dialog.getByLabel("Reason").fill(reason);
  await dialog.getByRole("button", { name: action, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
}

const confirmed = (v: Visitor) => v.page.getByText("The connected sidecar confirmed it.").waitFor({ timeout: 60_000 });

// refused waits until the sidecar refuses a token.
async function refused(token: string): Promise<void> {
  await expect.poll(() => stage.call(token, "GET", "/notes"), { timeout: 30_000 }).toBe(401);
}

test("an agent is suspended: its token dies at the sidecar, the sidecar confirms, and it is undone", async () => {
  const token = await stage.token(agent.credential, stage.resource);
  expect(await stage.call(token, "GET", "/notes")).toBe(200);
  const v = await aim("");
  await v.page.getByText("Nothing is cut off").waitFor();
  await v.inspect("kill-switch-empty");
  await v.page.getByRole("combobox", { name: "Agent" }).fill("screener");
  await v.page.getByRole("option", { name: /screener-001@example.com/ }).click();
  const affected = v.page.getByRole("region", { name: "What hangs on it" });
  await affected.getByText(/1 live token/).waitFor();
  await affected.getByText(/1 connected sidecar/).waitFor();
  expect(v.page.url()).toContain(agent.agentId);
  await v.inspect("kill-switch");
  await v.page.getByRole("button", { name: "Suspend…" }).click();
  await v.page.getByRole("alertdialog").getByText("every live token of screener-001@example.com").waitFor();
  await v.inspect("kill-switch-confirm");
  await v.page.keyboard.press("Escape");
  await strike(v, /^Suspend…/, "Suspend", agent.email, "incident 4711");
  await refused(token);
  await confirmed(v);
  const row = v.page.getByRole("row").filter({ hasText: "agent suspended" }).first();
  await row.getByText("admin@localhost").waitFor();
  await row.getByText("“incident 4711”").waitFor();
  await row.getByText("confirmed").waitFor();
  await v.inspect("kill-switch-done");
  await row.getByRole("button", { name: "Reactivate" }).click();
  await row.getByText("reactivated").waitFor();
  const other = await stage.token(agent.credential, stage.resource);
  await expect.poll(() => stage.call(other, "GET", "/notes"), { timeout: 30_000 }).toBe(200);
  await refused(token);
  await v.leave();
});

test("a credential is revoked with its tokens; the agent's other one goes on", async () => {
  const two = await stage.register("router-002@example.com");
  const other = await stage.api<{ clientId: string; clientSecret: string }>(
    "POST",
    `/api/v1/agents/${two.agentId}/credentials`,
    {},
  );
  const [leaked, good] = [await stage.token(two.credential, stage.resource), await stage.token(other, stage.resource)];
  const v = await aim(`?what=credential&agent=${two.agentId}`);
  await v.page.getByRole("combobox", { name: "Credential" }).fill(two.credential.clientId);
  await v.page.getByRole("option", { name: new RegExp(two.credential.clientId) }).click();
  await strike(v, /^Revoke it with its tokens/, "Revoke it with its tokens", two.credential.clientId);
  await refused(leaked);
  await confirmed(v);
  expect(await stage.call(good, "GET", "/notes")).toBe(200);
  await expect(stage.token(two.credential)).rejects.toThrow("401");
  await v.leave();
});

test("a pasted token is read in the page, and dies alone; a secret pasted by mistake goes nowhere", async () => {
  const three = await stage.register("monitor-003@example.com");
  const [leaked, good] = [
    await stage.token(three.credential, stage.resource),
    await stage.token(three.credential, stage.resource),
  ];
  const v = await aim("?what=token");
  const field = v.page.getByRole("textbox", { name: "Token" });
  await field.fill(three.credential.clientSecret);
  await v.page.getByText("This is neither a token nor a jti.").waitFor();
  await field.fill(leaked);
  await v.page.getByText("monitor-003@example.com").first().waitFor();
  await v.inspect("kill-switch-token");
  await strike(v, /^Revoke the token/, "Revoke the token", await field.inputValue(), "found in a public gist");
  await refused(leaked);
  await confirmed(v);
  expect(await stage.call(good, "GET", "/notes")).toBe(200);
  await v.page.getByText("found in a public gist").waitFor();
  expect(v.requests.join()).not.toContain(leaked);
  expect(v.requests.join()).not.toContain(three.credential.clientSecret);
  await v.leave();
});

test("an organization loses its live tokens, also the reader's own, who goes on with another", async () => {
  const four = await stage.register("extractor-004@example.com");
  const token = await stage.token(four.credential, stage.resource);
  const v = await aim("?what=organization&id=default", [/status of 401/]);
  await strike(v, /^Kill every live token/, "Kill every live token", "default");
  await refused(token);
  await confirmed(v);
  const next = await stage.token(four.credential, stage.resource);
  await expect.poll(() => stage.call(next, "GET", "/notes"), { timeout: 30_000 }).toBe(200);
  await v.leave();
});

test("what is not there says so", async () => {
  const v = await aim("?what=agent&id=00000000-0000-4000-8000-000000000000", [/status of 404/]);
  await v.page.getByText("There is no such thing").waitFor();
  await v.leave();
});
