import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, pictures, Visitor } from "./browser";
import { Stage } from "./stage";

let stage: Stage;
let browser: Browser;

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

// show opens the page about the API and waits for its operations.
async function show(expected: RegExp[] = [], path = "/api-docs"): Promise<Visitor> {
  const v = await Visitor.arrive(browser, stage, expected);
  await v.page.goto(stage.idp + path);
  await v.page.locator(".opblock").first().waitFor();
  return v;
}

async function authorize(v: Visitor, secret: string): Promise<Locator> {
  await v.page.getByRole("button", { name: "Authorize", exact: true }).click();
  const form = v.page.locator(".auth-container").filter({ hasText: "OAuth2, clientCredentials" });
  await expect.poll(() => form.getByLabel("client_id").evaluate((e) => e === document.activeElement)).toBe(true);
  await form.getByLabel("client_id").fill(stage.admin.clientId);
  await form.getByLabel("client_secret").fill(secret);
  await form.getByRole("button", { name: "Apply given OAuth2 credentials" }).click();
  return form;
}

test("the API page shows every operation of the document, with examples", async () => {
  const v = await show();
  const document = (await (await fetch(`${stage.idp}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const operations = Object.values(document.paths).flatMap((item) =>
    Object.keys(item).filter((member) => member !== "parameters"),
  );
  expect(await v.page.locator(".opblock").count()).toBe(operations.length);
  const create = v.page.locator("#operations-agents-createAgent");
  await create.locator(".opblock-summary-control").click();
  await create.getByText("screener-001@example.com").first().waitFor();
  await v.page.screenshot({ path: `${pictures}api-docs.png` });
  await v.leave();
});

test("Authorize takes a client id and secret, and Try it out calls the running server", async () => {
  const v = await show([], "/api-docs/"); // with the slash, relative addresses begin elsewhere
  const form = await authorize(v, stage.admin.clientSecret);
  await form.getByText("Authorized").waitFor();
  await v.page.screenshot({ path: `${pictures}api-docs-authorized.png` });
  await v.page.locator(".close-modal").click();
  const list = v.page.locator("#operations-agents-listAgents");
  await list.locator(".opblock-summary-control").click();
  await list.getByRole("button", { name: "Try it out" }).click();
  await list.getByRole("button", { name: "Execute" }).click();
  const answer = list.locator(".live-responses-table");
  await answer.getByText("admin@localhost").waitFor();
  expect(await answer.locator("tbody .response-col_status").textContent()).toContain("200");
  await list.screenshot({ path: `${pictures}api-docs-answer.png` });
  const kept = await v.page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  expect(kept).toBe('[{},{},""]');
  expect(v.requests.join()).not.toContain(stage.admin.clientSecret);
  await v.leave();
});

test("a wrong secret is said to be one", async () => {
  const v = await show([/status of 401/]);
  const form = await authorize(v, "aidp_sk_wrong");
  await form.getByText("client authentication failed").waitFor();
  await v.leave();
});
