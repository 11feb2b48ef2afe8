import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, Visitor } from "./browser";
import { type Agent, Stage } from "./stage";

const refused = [/status of 401/, /status of 400/]; // Chromium logs refusals that a test causes

let stage: Stage;
let browser: Browser;
let screener: Agent;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
  screener = await stage.register("screener-001@example.com", {
    agentType: "screener",
    deploymentEnv: "production",
    owner: "talent",
    metadata: { team: "talent", tags: ["eu", "pilot"], tier: 2 },
  });
  await stage.register("summarizer-002@example.com", {
    agentType: "summarizer",
    deploymentEnv: "staging",
    owner: "docs",
    capabilities: ["notes:read", "notes:write", "files:read", "files:write", "search:query"],
  });
  const idle = await stage.register("router-003@example.com", { agentType: "router", owner: "platform" });
  await stage.api("PATCH", `/api/v1/agents/${idle.agentId}`, { status: "suspended" });
  const token = await stage.token(screener.credential, stage.resource);
  for (let i = 0; i < 12; i++) expect(await stage.call(token, "GET", "/notes")).toBe(200);
  for (let i = 0; i < 5; i++) expect(await stage.call(token, "POST", "/notes")).toBe(403);
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

test("the first visit says where the credential is; a wrong secret is refused; the right one is remembered nowhere", async () => {
  const v = await Visitor.arrive(browser, stage, refused);
  await v.open();
  await v.page.getByText("admin.json").first().waitFor();
  await v.inspect("sign-in");
  await v.signIn({ clientId: stage.admin.clientId, clientSecret: "aidp_sk_wrong" });
  await v.page.getByRole("alert").getByText("invalid_client").waitFor();
  expect(await v.page.getByLabel("Client secret").inputValue()).toBe("");
  await v.inspect("sign-in-wrong");
  await v.signIn();
  await v.heading("Overview");
  const kept = await v.page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  expect(kept).toBe('[{},{},""]');
  expect(v.requests.join()).not.toContain(stage.admin.clientSecret);
  await v.page.reload();
  await v.heading("Sign in to AgentIdP");
  await v.leave();
});

test("admin.json pasted into the client id fills both fields, and a deep link is kept through the sign-in", async () => {
  const v = await Visitor.arrive(browser, stage);
  await v.open("/agents?status=suspended");
  await v.page.getByLabel("Client id").fill(JSON.stringify(stage.admin, null, 2));
  await v.page.getByRole("button", { name: "Sign in" }).click();
  await v.heading("Agents");
  await v.page.getByRole("link", { name: "router-003@example.com" }).waitFor();
  expect(await v.page.getByRole("link", { name: "screener-001@example.com" }).count()).toBe(0);
  await v.leave();
});

test("the overview shows traffic, sidecars and health, without hammering the API", async () => {
  const v = await Visitor.arrive(browser, stage);
  await v.open();
  await v.signIn();
  await v.heading("Overview");
  await v.page.getByRole("region", { name: "Sidecars", exact: true }).getByText("notes-sidecar@example.com").waitFor();
  await expect
    .poll(() => v.page.getByRole("region", { name: "Most denied capabilities" }).textContent(), { timeout: 30_000 })
    .toContain("notes:write5");
  await v.page.getByRole("region", { name: "Most denied agents" }).getByText("screener-001@example.com").waitFor();
  await v.page.getByRole("region", { name: "Health" }).getByText("Audit log").waitFor();
  await expect
    .poll(() => v.page.getByRole("figure", { name: "Requests allowed" }).textContent(), { timeout: 30_000 })
    .toContain("allowed12denied5");
  await v.inspect("overview");
  const before = v.requests.length;
  await v.page.waitForTimeout(20_000);
  expect(v.requests.length - before).toBeLessThanOrEqual(10); // 100 a minute is the limit of an address
  await v.leave();
});

test("agents are filtered, sorted and opened; what the URL says comes back", async () => {
  const v = await Visitor.arrive(browser, stage);
  await v.open();
  await v.signIn();
  await v.go("Agents");
  await v.page.getByRole("link", { name: "summarizer-002@example.com" }).waitFor();
  await v.inspect("agents");
  await v.page.getByLabel("Environment").click();
  await v.page.getByRole("option", { name: "production" }).click();
  await expect
    .poll(() => v.page.getByRole("link", { name: "summarizer-002@example.com" }).count(), { timeout: 30_000 })
    .toBe(0);
  expect(v.page.url()).toContain("deploymentEnv=production");
  await v.page.getByLabel("Environment").click();
  await v.page.getByRole("option", { name: "any" }).click();
  await v.page.getByRole("button", { name: "Email" }).click();
  await expect.poll(() => v.page.locator("tbody a").first().textContent()).toBe("admin@localhost");
  await v.page.getByRole("searchbox", { name: "Search" }).fill("SCREENER");
  await expect.poll(() => v.page.locator("tbody tr").count()).toBe(1);
  await v.page.getByRole("link", { name: "screener-001@example.com" }).click();
  await v.heading("screener-001@example.com");
  expect(await v.page.evaluate(() => document.activeElement?.tagName)).toBe("H1");
  await v.page
    .getByRole("region", { name: "Recent decisions and changes" })
    .first()
    .getByText("POST /notes")
    .first()
    .waitFor();
  await v.inspect("agent");
  await v.page.goBack();
  await v.heading("Agents");
  expect(await v.page.getByRole("searchbox", { name: "Search" }).inputValue()).toBe("SCREENER");
  await v.page.getByRole("searchbox", { name: "Search" }).fill("no such agent");
  await v.page.getByText("No agent fits these filters").waitFor();
  await v.inspect("agents-empty");
  await v.leave();
});

test("what agents are called never runs", async () => {
  const evil = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>`;
  const { agentId } = await stage.register("'`&{{7*7}}@example.com", {
    owner: evil,
    metadata: { [evil]: evil, __proto__x: "javascript:alert(1)" },
  });
  const v = await Visitor.arrive(browser, stage);
  await v.open(`/agents/${agentId}`);
  await v.signIn();
  await v.heading("'`&{{7*7}}@example.com");
  await v.page.getByText(evil, { exact: true }).first().waitFor();
  await v.go("Agents");
  await v.page.getByRole("cell", { name: evil }).waitFor();
  await v.inspect("agents-hostile");
  expect(
    await v.page.evaluate(() => [
      (window as { ran?: number }).ran,
      document.querySelectorAll("main img, main script").length,
    ]),
  ).toEqual([undefined, 0]);
  await v.leave();
});

test("a suspended agent is signed out and told why; who takes its place sees nothing of it", async () => {
  const operator = await stage.register("operator@example.com", { capabilities: ["agents:read", "audit:read"] });
  const v = await Visitor.arrive(browser, stage, refused);
  await v.open("/agents");
  await v.signIn(operator.credential);
  await v.page.getByRole("main").getByRole("link", { name: "operator@example.com" }).waitFor();
  await stage.api("PATCH", `/api/v1/agents/${operator.agentId}`, { status: "suspended" });
  await v.page.getByRole("main").getByRole("link", { name: "operator@example.com" }).click();
  await v.page.getByText("You were signed out: agent suspended").waitFor();
  await v.inspect("signed-out");
  await v.leave();
});

test("what the caller may not see says so, with the request's id", async () => {
  const reader = await stage.register("reader@example.com", { capabilities: ["agents:read"] });
  const v = await Visitor.arrive(browser, stage, [/status of 403/]);
  await v.open();
  await v.signIn(reader.credential);
  await v.heading("Overview");
  await v.page.getByText("capability_missing").first().waitFor();
  await v.page
    .getByText(/^request /)
    .first()
    .waitFor();
  await v.inspect("overview-forbidden");
  await v.leave();
});

test("the IdP goes away and comes back: the page says so and goes on", async () => {
  const v = await Visitor.arrive(browser, stage, [/ERR_CONNECTION/, /Failed to load/]);
  await v.open("/sidecars");
  await v.signIn();
  await v.page.getByText("notes-sidecar@example.com").waitFor();
  await v.fetched(/KeysPage/); // ahead, see Shell
  await stage.tell("stop-idp");
  await v.go("Keys");
  await v.go("Agents");
  await v.page.getByText("UNREACHABLE").waitFor();
  await v.inspect("away");
  await stage.tell("start-idp");
  await v.page.getByRole("button", { name: "Try again" }).click();
  await v.page.getByRole("link", { name: "screener-001@example.com" }).waitFor();
  await v.leave();
});

test("every page opens by keyboard and is named", async () => {
  const v = await Visitor.arrive(browser, stage);
  await v.open();
  await v.signIn();
  await v.heading("Overview");
  await v.page.keyboard.press("Tab");
  expect(await v.page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
  await v.page.keyboard.press("Enter");
  expect(await v.page.evaluate(() => document.activeElement?.id)).toBe("main");
  for (const name of ["Audit", "Kill switch", "Policies", "Keys", "Organizations", "Sidecars"]) {
    await v.go(name);
    await v.settle();
    expect(await v.page.title()).toBe(`${name} · AgentIdP`);
    expect(await v.axe(), name).toEqual([]);
  }
  await v.leave();
});
