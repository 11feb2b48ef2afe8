import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Visitor } from "./browser";
import { type Agent, Stage } from "./stage";

let stage: Stage;
let browser: Browser;
let agent: Agent;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
  agent = await stage.register("screener-001@example.com");
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

async function visit(name: string, expected: RegExp[] = []): Promise<Visitor> {
  const v = await Visitor.arrive(browser, stage, expected);
  await v.open(`/${name.toLowerCase()}`);
  await v.signIn();
  await v.heading(name);
  return v;
}

test("a key is rotated, and tokens go on to verify", async () => {
  const before = await stage.token(agent.credential, stage.resource);
  const v = await visit("Keys");
  await v.page.getByText("signs every token").waitFor();
  const signing = v.page.getByRole("region", { name: "Signing", exact: true });
  await signing.getByText(/^\(in \d+ days?\)$/).waitFor(); // when another key is due to sign
  await v.inspect("keys");
  await v.page.getByRole("button", { name: "Rotate now…" }).click();
  await v.page.getByRole("alertdialog").getByRole("button", { name: "Rotate" }).click();
  await v.page.getByText("is published, and does not sign yet").waitFor();
  await v.inspect("keys-next");
  const after = await stage.token(agent.credential, stage.resource);
  expect(await stage.call(before, "GET", "/notes")).toBe(200);
  expect(await stage.call(after, "GET", "/notes")).toBe(200);
  await v.leave();
});

test("an emergency rotation kills every token of the key, and another signs", async () => {
  const before = await stage.token(agent.credential, stage.resource);
  expect(await stage.call(before, "GET", "/notes")).toBe(200);
  const { data } = await stage.api<{ data: { kid: string; status: string }[] }>("GET", "/api/v1/keys");
  const kid = data.find((k) => k.status === "active")?.kid ?? "";
  const v = await visit("Keys", [/status of 401/]);
  await v.page.getByRole("button", { name: "Emergency…" }).click();
  const dialog = v.page.getByRole("alertdialog");
  await dialog.getByText(/of all agents, of all organizations/).waitFor();
  await v.inspect("keys-emergency");
  expect(await dialog.getByLabel("Reason").inputValue()).toBe("emergency rotation");
  await dialog.getByLabel(`Type ${kid.slice(0, 8)} to go on`).fill(kid.slice(0, 8));
  await dialog.getByRole("button", { name: "Emergency rotation" }).click();
  await dialog.waitFor({ state: "detached" });
  await expect.poll(() => stage.call(before, "GET", "/notes"), { timeout: 30_000 }).toBe(401);
  await v.page.getByText("The connected sidecar confirmed it.").waitFor({ timeout: 60_000 });
  const keys = v.page.getByRole("region", { name: "Signing keys" });
  await expect.poll(() => keys.textContent(), { timeout: 30_000 }).not.toContain(kid);
  await v.inspect("keys-after");
  const after = await stage.token(agent.credential, stage.resource);
  await expect.poll(() => stage.call(after, "GET", "/notes"), { timeout: 30_000 }).toBe(200);
  await v.leave();
});

test("an organization is created with its administrator, and its plan is changed", async () => {
  const v = await visit("Organizations", [/status of 400/]);
  await v.page.getByRole("link", { name: "Default" }).waitFor();
  await v.page.getByRole("button", { name: "New organization" }).click();
  const form = v.page.getByRole("dialog");
  await form.getByLabel("Name").fill("Acme Ltd");
  await form.getByLabel("Id", { exact: true }).fill("Not An Id");
  await form.getByRole("button", { name: "Create" }).click();
  await form.getByRole("alert").waitFor();
  await v.inspect("organization-new");
  await form.getByLabel("Id", { exact: true }).fill("acme");
  await form.getByLabel("Administrator's email (optional)").fill("admin@acme.example");
  await form.getByRole("button", { name: "Create" }).click();
  const secret = v.page.getByRole("dialog", { name: /administrator's credential/ });
  const clientId = (await secret.getByText(/^aidp_c_/).textContent()) ?? "";
  const clientSecret = (await secret.getByText(/^aidp_sk_/).textContent()) ?? "";
  await secret.getByRole("checkbox").check({ force: true });
  await secret.getByRole("button", { name: "Done" }).click();
  await stage.token({ clientId, clientSecret });
  await v.page.getByRole("link", { name: "Acme Ltd" }).waitFor();
  await v.inspect("organizations");
  await v.page.getByRole("link", { name: "Acme Ltd" }).click();
  await v.heading("Acme Ltd");
  await v.page.getByRole("region", { name: "Now" }).getByText("1 active").waitFor();
  await v.page.getByRole("region", { name: "Tokens of each agent" }).getByText("1 of 10,000").waitFor();
  await v.page.getByRole("region", { name: "Against its limits" }).getByText("1 of 100").waitFor();
  await v.inspect("organization");
  await v.page.getByRole("button", { name: "Change…" }).click();
  const edit = v.page.getByRole("dialog");
  await edit.getByRole("button", { name: /Plan/ }).click();
  await v.page.getByRole("option", { name: "custom" }).click();
  await edit.getByLabel("Age of secrets, in days").fill("90");
  await v.inspect("organization-change");
  await edit.getByRole("button", { name: "Save" }).click();
  await edit.waitFor({ state: "detached" });
  await v.page.getByRole("region", { name: "Plan and limits" }).getByText("90 days").waitFor();
  await v.page.getByRole("region", { name: "Plan and limits" }).getByText("custom", { exact: true }).waitFor();
  await v.leave();
});

test("sidecars show version, policy, lag, last decision and what they confirmed", async () => {
  const token = await stage.token(agent.credential, stage.resource);
  expect(await stage.call(token, "GET", "/notes")).toBe(200);
  const v = await visit("Sidecars");
  const row = v.page.getByRole("row").filter({ hasText: "notes-sidecar@example.com" });
  await row.getByText("connected").waitFor();
  await row.getByText(/at \d/).waitFor({ timeout: 60_000 });
  await v.inspect("sidecars");
  await v.leave();
});
