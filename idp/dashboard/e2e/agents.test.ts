import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Visitor } from "./browser";
import { type Credential, Stage } from "./stage";

const refused = [/status of 40\d/, /status of 412/]; // Chromium logs refusals that a test causes

let stage: Stage;
let browser: Browser;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

async function enter(path: string, credential?: Credential): Promise<Visitor> {
  const v = await Visitor.arrive(browser, stage, refused);
  await v.open(path);
  await v.signIn(credential);
  return v;
}

const panel = (v: Visitor, name: string) => v.page.getByRole("region", { name, exact: true });
const press = (at: Locator | Page, name: string) => at.getByRole("button", { name, exact: true }).click();
const sample = async (at: Locator, name: string) =>
  (await at.getByRole("region", { name }).locator("pre").textContent()) ?? "";

// shell runs what the page says to paste, as its reader would.
const shell = (script: string) => execFileSync("sh", ["-eu", "-c", script], { encoding: "utf8" });

// secretOf reads the dialog that shows a secret once, and closes it.
async function secretOf(v: Visitor): Promise<Credential> {
  const dialog = v.page.getByRole("dialog");
  await dialog.getByText("aidp_sk_").first().waitFor();
  const values = await dialog.locator("code").allTextContents();
  const [clientId, clientSecret] = ["aidp_c_", "aidp_sk_"].map((p) => values.find((t) => t.startsWith(p)) ?? "");
  await dialog.getByText("I have put the secret where it belongs").click();
  await press(dialog, "Done");
  await dialog.waitFor({ state: "hidden" });
  return { clientId: clientId ?? "", clientSecret: clientSecret ?? "" };
}

test("from nothing to a request through the sidecar, by what the page says alone", async () => {
  const v = await enter("/agents");
  await press(v.page, "Register an agent");
  await v.heading("Register an agent");
  await v.inspect("register");
  await press(v.page, "Fill in the demo's agent");
  await press(v.page, "Register");
  await v.heading("screener-001@example.com");
  await v.inspect("agent-first-steps");
  await press(panel(v, "First steps"), "Create a credential");
  await press(v.page.getByRole("alertdialog"), "Create");
  const dialog = v.page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "The API" }).fill(stage.resource);
  await v.inspect("secret");
  await press(dialog, "Copy client secret");
  const copied = await v.page.evaluate(() => navigator.clipboard.readText());
  const downloading = v.page.waitForEvent("download");
  await press(dialog, "Download as JSON");
  const file = JSON.parse(readFileSync(await (await downloading).path(), "utf8")) as Credential;
  expect(file.clientSecret).toBe(copied);
  const token = await sample(dialog, "Get a token");
  const call = await sample(dialog, "Call the API through its sidecar");
  await dialog.getByRole("tab", { name: "Go SDK" }).click();
  expect(await sample(dialog, "Call the API from Go")).toContain(stage.resource);
  await secretOf(v);
  expect(shell(`${token}\n${call}`)).toContain("200 OK");
  const steps = panel(v, "First steps");
  await steps.getByText("The last token was issued").waitFor();
  await steps.getByText("The last request was allowed").waitFor();
  expect(shell(`${token}\n${await sample(steps, "Write through the sidecar")}`)).toContain("capability_missing");
  await steps.getByText("The last request was denied").waitFor();
  await panel(v, "Recent decisions and changes").getByText("POST /notes").first().waitFor({ timeout: 10_000 }); // with the step, not half a minute later
  await v.inspect("agent-first-steps-done");
  expect(await v.page.content()).not.toContain(copied);
  const kept = await v.page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  expect(kept).toBe('[{},{},""]');

  await press(v.page, "Edit capabilities");
  await v.page.getByLabel("Add a capability").fill("notes:write");
  await v.inspect("capabilities");
  await press(v.page.getByRole("dialog"), "Save");
  await panel(v, "Capabilities (2)").getByText("notes:write").waitFor();
  const wider = await stage.token(file, stage.resource);
  expect(await stage.call(wider, "POST", "/notes")).toBe(201);
  await press(v.page, "Edit capabilities");
  await press(v.page.getByRole("dialog"), "Remove notes:write");
  await v.page.getByText(/Without notes:write: all its live tokens \(\d+\) die/).waitFor();
  await press(v.page.getByRole("dialog"), "Save");
  await panel(v, "Capabilities (1)").waitFor();
  await expect.poll(() => stage.call(wider, "GET", "/notes")).toBe(401);
  await v.leave();
});

test("what the API refuses stands at its field", async () => {
  const v = await enter("/agents/new");
  await v.heading("Register an agent");
  await v.page.getByLabel("Email").fill("no address");
  await v.page.getByLabel("Version").fill("one");
  await v.page.getByLabel("Add a capability").fill("notes:read Notes nothing");
  await v.page.getByLabel("Metadata").fill("{ team: 1 }");
  await press(v.page, "Register");
  await v.page.getByText("is no JSON").waitFor();
  await v.page.getByLabel("Metadata").fill("");
  await press(v.page, "Register");
  const wrong = (label: string) => v.page.getByLabel(label).getAttribute("aria-invalid");
  await expect.poll(() => wrong("Email")).toBe("true");
  expect(await wrong("Version")).toBe("true");
  expect(await wrong("Owner")).toBe("true");
  expect(await v.page.evaluate(() => document.activeElement?.getAttribute("aria-invalid"))).toBe("true");
  await v.page.getByText(/^Notes, nothing: must be resource:action/).waitFor();
  await v.inspect("register-wrong");
  await press(v.page, "Fill in the demo's agent");
  await v.page.getByLabel("Email").fill("admin@localhost");
  await press(v.page, "Register");
  await v.page.getByRole("alert").getByText("AGENT_ALREADY_EXISTS").waitFor();
  expect(await wrong("Email")).toBe("true");
  await v.leave();
});

test("a secret is rotated, with overlap and at once, and a credential revoked", async () => {
  const agent = await stage.register("rotated@example.com");
  const v = await enter(`/agents/${agent.agentId}`);
  const { clientId } = agent.credential;
  await press(v.page, `Rotate ${clientId}`);
  const ask = v.page.getByRole("alertdialog");
  await ask.getByLabel("The old secret").click();
  await v.page.getByRole("option", { name: "works for another hour" }).click();
  await v.inspect("rotate");
  await press(ask, "Rotate");
  const second = await secretOf(v);
  expect(second.clientId).toBe(clientId);
  await panel(v, "Credentials").getByText("the old secret ends in").waitFor();
  await v.inspect("rotated");
  await stage.token(agent.credential);
  const token = await stage.token(second, stage.resource);
  await press(v.page, `Rotate ${clientId}`);
  await press(ask, "Rotate");
  const third = await secretOf(v);
  await panel(v, "Credentials").getByText("the old secret ends").waitFor({ state: "detached" });
  await expect(stage.token(second)).rejects.toThrow("invalid_client");
  await expect(stage.token(agent.credential)).rejects.toThrow("invalid_client");
  await stage.token(third);
  expect(await stage.call(token, "GET", "/notes")).toBe(200);
  await press(v.page, `Revoke ${clientId}`);
  await v.inspect("revoke");
  await press(ask, "Revoke");
  await panel(v, "Credentials").getByText("revoked").waitFor();
  await expect(stage.token(third)).rejects.toThrow("invalid_client");
  await expect.poll(() => stage.call(token, "GET", "/notes")).toBe(401);
  await v.leave();
});

test("a suspended agent is refused at the sidecar and its session ends; decommissioning is final", async () => {
  const agent = await stage.register("doomed@example.com", {
    capabilities: ["notes:read", "agents:read", "credentials:read", "audit:read"],
  });
  const token = await stage.token(agent.credential, stage.resource);
  expect(await stage.call(token, "GET", "/notes")).toBe(200);
  const its = await enter("/agents", agent.credential);
  await its.page.getByRole("main").getByRole("link", { name: agent.email }).waitFor();

  const v = await enter(`/agents/${agent.agentId}`);
  const ask = v.page.getByRole("alertdialog");
  await press(v.page, "Suspend");
  await ask.getByText("2 live tokens").waitFor();
  await v.inspect("suspend");
  expect(await ask.getByRole("button", { name: "Suspend" }).isDisabled()).toBe(true);
  await ask.getByLabel(`Type ${agent.email} to go on`).fill(agent.email);
  await ask.getByLabel("Reason").fill("seen in a leak");
  await press(ask, "Suspend");
  await press(v.page, "Reactivate");
  await expect.poll(() => stage.call(token, "GET", "/notes")).toBe(401);
  await expect(stage.token(agent.credential)).rejects.toThrow("agent suspended");
  await its.page.getByRole("main").getByRole("link", { name: agent.email }).click();
  await its.page.getByText("You were signed out: agent suspended").waitFor();
  await its.leave();
  await v.inspect("agent-suspended");
  await press(ask, "Reactivate");
  await v.page.getByRole("button", { name: "Suspend" }).waitFor();
  expect(await stage.call(token, "GET", "/notes")).toBe(401);
  await stage.token(agent.credential);

  await press(v.page, "Decommission");
  await ask.getByText("1 credential, for good").waitFor();
  await ask.getByText("1 live token", { exact: true }).waitFor();
  await v.inspect("decommission");
  await ask.getByLabel(`Type ${agent.email} to go on`).fill(agent.email);
  await press(ask, "Decommission");
  await panel(v, "Identity").getByText("decommissioned").waitFor();
  await panel(v, "Credentials").getByText("revoked").waitFor();
  expect(await v.page.getByRole("button", { name: /Suspend|Decommission|Edit|Rotate|Create/ }).count()).toBe(0);
  await v.inspect("agent-decommissioned");
  await v.leave();
});

test("decommissioning a sidecar's agent names the sidecar", async () => {
  const { data } = await stage.api<{ data: { agentId: string; email: string }[] }>("GET", "/api/v1/agents?limit=100");
  const sidecar = data.find((a) => a.email === "notes-sidecar@example.com");
  const v = await enter(`/agents/${sidecar?.agentId}`);
  await press(v.page, "Decommission");
  await v.page
    .getByRole("alertdialog")
    .getByText(/what sidecar .* \(connected\) hears/)
    .waitFor();
  await v.inspect("decommission-sidecar");
  await press(v.page.getByRole("alertdialog"), "Cancel");
  await v.leave();
});

test("two who change an agent at once do not undo each other", async () => {
  const agent = await stage.register("contended@example.com");
  const v = await enter(`/agents/${agent.agentId}`);
  await press(v.page, "Edit identity");
  const sheet = v.page.getByRole("dialog");
  await sheet.getByLabel("Owner").fill("mine");
  await stage.api("PATCH", `/api/v1/agents/${agent.agentId}`, { owner: "theirs" });
  await press(sheet, "Save");
  await sheet.getByText("Somebody changed this agent meanwhile").waitFor();
  await v.inspect("edit-conflict");
  await press(sheet, "Cancel");
  await press(v.page, "Edit identity");
  expect(await sheet.getByLabel("Owner").inputValue()).toBe("theirs");
  await sheet.getByLabel("Version").fill("2.0.0");
  await press(sheet, "Save");
  await panel(v, "Identity").getByText("2.0.0").waitFor();
  await v.leave();
});

test("metadata is edited as text, and stays text whatever it is", async () => {
  const evil = `</pre><img src=x onerror="window.ran=1"><script>window.ran=1</script>`;
  const agent = await stage.register("metadata@example.com");
  const v = await enter(`/agents/${agent.agentId}`);
  await press(v.page, "Edit metadata");
  const sheet = v.page.getByRole("dialog");
  await sheet.getByLabel("Metadata").fill("[1]");
  await press(sheet, "Save");
  await sheet.getByText("must be an object").waitFor();
  await v.inspect("metadata");
  await sheet.getByLabel("Metadata").fill(JSON.stringify({ [evil]: evil, link: "javascript:alert(1)" }));
  expect(await sheet.getByText("must be an object").count()).toBe(0);
  await press(sheet, "Save");
  await panel(v, "Metadata").getByText("onerror").first().waitFor();
  await v.inspect("agent-hostile");
  expect(
    await v.page.evaluate(() => [
      (window as { ran?: number }).ran,
      document.querySelectorAll("main img, main script").length,
    ]),
  ).toEqual([undefined, 0]);
  await press(v.page, "Edit metadata");
  await sheet.getByLabel("Metadata").fill("");
  await press(sheet, "Save");
  await v.page.getByText("No metadata").waitFor();
  await v.leave();
});

test("an agent is registered and gets a credential by keyboard alone, on a narrow screen", async () => {
  const v = await enter("/agents/new");
  await v.heading("Register an agent");
  await v.page.setViewportSize({ width: 360, height: 740 });
  const keys = v.page.keyboard;
  const focused = () =>
    v.page.evaluate(
      () => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "",
    );
  const tabTo = async (name: string) => {
    for (let i = 0; i < 60; i++) {
      await keys.press("Tab");
      if ((await focused()) === name) return;
    }
    throw new Error(`Tab never came to ${name}`);
  };
  await v.page.getByLabel("Email").focus();
  await keys.type("keyboard@example.com");
  await keys.press("Tab");
  await keys.type("e2e");
  await v.page.getByLabel("Add a capability").focus();
  await keys.type("notes:read");
  await keys.press("Enter");
  await keys.type("notes:delete");
  await keys.press("Enter");
  await keys.press("Tab");
  await keys.press("ArrowRight");
  await keys.press("Delete"); // takes a capability out of the list
  expect(await v.page.getByRole("row", { name: "notes:" }).allTextContents()).toEqual(["notes:read"]);
  await tabTo("Register");
  await keys.press("Enter");
  await v.heading("keyboard@example.com");
  await tabTo("Create a credential");
  await keys.press("Enter");
  await tabTo("Create");
  await keys.press("Enter");
  await v.page.getByRole("dialog").getByText("aidp_sk_").first().waitFor();
  await keys.press("Escape"); // a secret that is shown once does not vanish so
  expect(await v.page.getByRole("dialog").count()).toBe(1);
  await v.page.getByRole("checkbox").focus();
  await keys.press("Space");
  await tabTo("Done");
  await keys.press("Enter");
  await v.page.getByRole("dialog").waitFor({ state: "hidden" });
  expect(await v.axe()).toEqual([]);
  await v.leave();
});
