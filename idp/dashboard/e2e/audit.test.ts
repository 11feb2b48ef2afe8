import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { launch, Visitor } from "./browser";
import { type Agent, Stage } from "./stage";

let stage: Stage;
let browser: Browser;
let reader: Agent;

type Event = { eventId: string; action: string; agentId?: string; sequence: number };
const list = (query: string) => stage.api<{ data: Event[]; nextCursor?: string }>("GET", `/api/v1/audit?${query}`);

beforeAll(async () => {
  [stage, browser] = await Promise.all([Stage.start(), launch()]);
  reader = await stage.register("audited@example.com");
  const token = await stage.token(reader.credential, stage.resource);
  for (let i = 0; i < 60; i++) expect(await stage.call(token, "GET", `/notes?i=${i}`)).toBe(200);
  for (let i = 0; i < 3; i++) expect(await stage.call(token, "POST", "/notes")).toBe(403);
  const denied = async () => (await list("action=decision.denied")).data.length === 3;
  await vi.waitUntil(denied, { timeout: 30_000, interval: 200 });
});

afterAll(async () => {
  await browser?.close();
  await stage?.stop();
});

const busy = /status of 503/; // a loaded machine may say so; the page asks again

async function arrive(path: string, expected: RegExp[] = [busy]): Promise<Visitor> {
  const v = await Visitor.arrive(browser, stage, expected);
  await v.open(path);
  await v.signIn();
  return v;
}

const rows = (v: Visitor) => v.page.getByRole("table", { name: "Events" }).locator("tbody tr");

test("events appear after traffic; filters are kept in the URL and lead to the same list", async () => {
  const v = await arrive("/audit");
  await v.heading("Audit");
  await rows(v).first().waitFor();
  await v.inspect("audit");
  await v.page.getByLabel("Action").click();
  await v.page.getByRole("option", { name: "decision.denied" }).click();
  await expect.poll(() => rows(v).count(), { timeout: 30_000 }).toBe(3);
  const token = await stage.token(reader.credential, stage.resource);
  expect(await stage.call(token, "POST", "/notes")).toBe(403);
  await expect.poll(() => rows(v).count(), { timeout: 60_000 }).toBe(4);
  await v.page.getByRole("combobox", { name: "Agent" }).fill("audited");
  await v.page.getByRole("option", { name: "audited@example.com" }).click();
  await expect.poll(() => v.page.url()).toContain(`agentId=${reader.agentId}`);
  await v.page.getByLabel("Outcome").click();
  await v.page.getByRole("option", { name: "success" }).click();
  await v.page.getByText("No event fits these filters").waitFor();
  await v.inspect("audit-empty");
  await v.page.getByRole("button", { name: "Clear the filters" }).click();
  await expect.poll(() => rows(v).count(), { timeout: 30_000 }).toBe(50);
  expect(await v.page.getByRole("combobox", { name: "Agent" }).inputValue()).toBe("");
  await v.leave();
});

test("text is searched in every value, and the search stands in the URL", async () => {
  const v = await arrive("/audit?action=decision.denied");
  await v.page.getByRole("searchbox", { name: "Search" }).fill("NOTES:wri");
  await expect.poll(() => v.page.url()).toContain("q=NOTES");
  await v.page.getByText(/searched back to/).waitFor({ state: "hidden" });
  await expect.poll(() => rows(v).count(), { timeout: 30_000 }).toBeGreaterThanOrEqual(3);
  await v.page.getByRole("searchbox", { name: "Search" }).fill("i=59"); // queries are not recorded
  await v.page.getByText("No event fits these filters").waitFor();
  await v.inspect("audit-search");
  const w = await arrive(`/audit?q=${reader.agentId}&action=agent.created`);
  await expect.poll(() => rows(w).count(), { timeout: 30_000 }).toBe(1);
  await rows(w).getByRole("link", { name: "agent.created" }).waitFor();
  await w.leave();
  await v.leave();
});

test("dates are chosen by keyboard or calendar, in the reader's zone", async () => {
  const v = await arrive("/audit?from=2020-01-01T00:00:00.000Z&action=decision.denied");
  await expect.poll(() => rows(v).count(), { timeout: 30_000 }).toBeGreaterThanOrEqual(3);
  const from = v.page.getByRole("group", { name: "From" });
  expect((await from.textContent())?.replace(/[\u2066-\u2069]/g, "")).toContain("01/01/2020, 1:00");
  await from.getByRole("spinbutton", { name: "year" }).click();
  await v.page.keyboard.type("2038");
  await v.page.getByRole("heading", { level: 1 }).click();
  await v.page.getByText("No event fits these filters").waitFor();
  expect(decodeURIComponent(v.page.url())).toContain("from=2038-01-01T00:00:00.000Z");
  await from.getByRole("button", { name: "Clear From" }).click();
  await expect.poll(() => rows(v).count(), { timeout: 30_000 }).toBeGreaterThanOrEqual(3);
  await v.page.getByRole("group", { name: "Before" }).getByRole("button").click();
  await v.page.getByRole("grid").waitFor();
  await v.inspect("audit-calendar");
  await v.page.getByRole("button", { name: "Previous" }).first().click();
  await v.page.getByRole("grid").getByText("1", { exact: true }).first().click();
  await v.page.keyboard.press("Escape");
  await v.page.getByText("No event fits these filters").waitFor();
  expect(v.page.url()).toContain("to=");
  await v.leave();
});

test("pages go on by cursor and come back, also by a link", async () => {
  const v = await arrive(`/audit?agentId=${reader.agentId}`);
  await expect.poll(() => rows(v).count(), { timeout: 30_000 }).toBe(50);
  const number = (x: Visitor) => rows(x).first().locator("td").last().textContent(); // who it was may come later
  const first = await number(v);
  await v.page.getByRole("button", { name: "Next" }).click();
  await expect.poll(() => number(v)).not.toBe(first);
  const second = await number(v);
  const link = v.page.url();
  await v.page.getByRole("button", { name: "Previous" }).click();
  await expect.poll(() => number(v)).toBe(first);
  const w = await arrive(link.slice(link.indexOf("/audit")));
  await expect.poll(() => number(w), { timeout: 30_000 }).toBe(second);
  await w.leave();
  await v.leave();
});

test("an event opens with its JSON and a proof that this browser checked", async () => {
  const [event] = (await list("action=decision.denied")).data;
  const v = await arrive("/audit?action=decision.denied");
  await rows(v).last().getByRole("link", { name: "decision.denied" }).click();
  await v.heading("decision.denied");
  await v.page.getByText("Proven: this event is in the log, unaltered").waitFor();
  const proof = v.page.getByRole("region", { name: "Proof" });
  await proof.getByText(/Ed25519, good under the log’s key/).waitFor();
  await v.page.getByRole("region", { name: "event", exact: true }).getByText('"notes:write"').waitFor();
  await v.inspect("audit-event");
  await v.page.getByRole("button", { name: "Check again" }).click();
  await proof.getByText(/it extends the checkpoint of \d+ events that this browser saw/).waitFor();
  const kept = await v.page.evaluate(() => Object.keys(localStorage));
  expect(kept).toEqual(["agentidp.checkpoint"]);
  const w = await arrive(`/audit/${event?.eventId}`);
  await w.heading("decision.denied");
  await w.page.getByText("Proven: this event is in the log, unaltered").waitFor();
  await w.leave();
  await v.leave();
});

test("a checkpoint that contradicts the one seen before fails the check, until it is forgotten", async () => {
  const [event] = (await list("action=decision.denied")).data;
  const v = await arrive("/audit");
  await rows(v).first().waitFor();
  const { sequence } = event as Event;
  await v.page.evaluate((size) => {
    const root = btoa("x".repeat(32));
    const note = `other.example/audit\n${size}\n${root}\n\n— other.example/audit ${btoa("y".repeat(68))}\n`;
    localStorage.setItem("agentidp.checkpoint", JSON.stringify({ note, at: "2026-01-01T00:00:00.000Z" }));
  }, sequence);
  await rows(v).last().getByRole("link").first().click();
  await v.page.getByRole("alert").getByText("Not proven").waitFor();
  await v.inspect("audit-refuted");
  await v.page.getByRole("button", { name: "Forget the earlier log" }).click();
  await v.page.getByText("Proven: this event is in the log, unaltered").waitFor();
  await v.leave();
});

test("the whole log is hashed again in the browser", async () => {
  const v = await arrive("/audit");
  await v.page.getByRole("button", { name: "Verify the log" }).click();
  await v.page.getByText("Then nobody altered, added or removed an event").waitFor();
  await v.inspect("audit-verify");
  await v.page.getByRole("button", { name: "Verify", exact: true }).click();
  await v.page.getByText("The log is intact").waitFor();
  await v.page.getByText(/All \d+ events were hashed here/).waitFor();
  await v.inspect("audit-verified");
  const saved = v.page.waitForEvent("download");
  await v.page.getByRole("button", { name: "Keep the checkpoint" }).click();
  expect(readFileSync(await (await saved).path(), "utf8")).toMatch(/\/audit\n\d+\n.{44}\n\n— /);
  await v.leave();
});

test("a tenant's log verifies by its own events and the hashes of the others", async () => {
  await stage.api("POST", "/api/v1/organizations", { organizationId: "acme", name: "Acme" });
  const auditor = await stage.register("auditor@acme.example", {
    organizationId: "acme",
    capabilities: ["audit:read", "agents:read"],
  });
  const v = await Visitor.arrive(browser, stage, [busy, /status of 403/]);
  await v.open("/audit");
  await v.signIn(auditor.credential);
  await expect
    .poll(async () => (await list("limit=1")).data.length > 0 && v.page.getByRole("table", { name: "Events" }).count())
    .toBe(1);
  await v.page.getByRole("button", { name: "Verify the log" }).click();
  await v.page.getByRole("button", { name: "Verify", exact: true }).click();
  await v.page.getByText("What you may see of the log is intact, if its checkpoint is genuine").waitFor();
  await v.page.getByText(/your credential may not read the log/).waitFor();
  await v.inspect("audit-verified-tenant");
  await v.leave();
});

type Exported = { lines: string[]; raw: string };

async function exported(path: string, format: RegExp, picker: boolean): Promise<Exported> {
  const v = await Visitor.arrive(browser, stage, [busy]);
  await v.page.addInitScript((keep) => {
    const w = window as { showSaveFilePicker?: unknown };
    if (!keep) w.showSaveFilePicker = undefined;
    else
      w.showSaveFilePicker = async () =>
        (await navigator.storage.getDirectory()).getFileHandle("export", { create: true });
  }, picker);
  await v.open(path);
  await v.signIn();
  await v.page.getByRole("button", { name: "Export" }).click();
  const dialog = v.page.getByRole("dialog");
  await dialog.getByLabel("Format").click();
  await v.page.getByRole("option", { name: format }).click();
  if (picker) await v.inspect(`audit-export-${format.source.toLowerCase()}`);
  const saved = picker ? undefined : v.page.waitForEvent("download");
  await dialog.getByRole("button", { name: "Export" }).click();
  await dialog.getByText("Saved, to its end").waitFor();
  if (format.source === "NDJSON") await dialog.getByText(/audit verify --export audit.ndjson --key \S+\+/).waitFor();
  if (picker) await v.inspect("audit-exported");
  const raw = saved
    ? readFileSync(await (await saved).path(), "utf8")
    : await v.page.evaluate(async () =>
        (await (await (await navigator.storage.getDirectory()).getFileHandle("export")).getFile()).text(),
      );
  await v.leave();
  return { raw, lines: raw.split(/\r?\n/).filter(Boolean) };
}

// eventIds is without the header, and the hashes in the place of other events.
const eventIds = ({ lines }: Exported) => lines.flatMap((l) => (JSON.parse(l) as Partial<Event>).eventId ?? []);

test("an export has what the API gives, and what the filters leave", async () => {
  const to = new Date(Date.now() + 60_000).toISOString();
  const whole = await exported("/audit", /NDJSON/, true);
  const token = await stage.token(stage.admin);
  const answer = await fetch(`${stage.idp}/api/v1/audit/export?format=ndjson`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  const direct = (await answer.text()).split("\n").slice(1); // the checkpoint is a later one
  const events = whole.lines.slice(1);
  expect(whole.lines[0]).toMatch(/^\{"export":\{"version":1,"checkpoint":/);
  expect(events.length).toBeGreaterThan(60);
  expect(direct.slice(0, events.length)).toEqual(events);

  const filter = `agentId=${reader.agentId}&action=decision.denied&to=${to}`;
  const wanted = (await list(`${filter}&limit=100`)).data.map((e) => e.eventId).reverse();
  const narrowed = await exported(`/audit?${filter}`, /NDJSON/, false);
  expect(eventIds(narrowed)).toEqual(wanted);
  expect(narrowed.lines[0]).toContain(`"agentId":"${reader.agentId}","action":"decision.denied"`);
  const found = await exported(`/audit?agentId=${reader.agentId}&q=NOTES:write&to=${to}`, /NDJSON/, false);
  expect(eventIds(found)).toEqual(wanted);
  const csv = await exported(`/audit?${filter}`, /CSV/, false);
  expect(csv.lines[0]).toMatch(/^eventId,sequence,/);
  expect(csv.lines.slice(1).map((l) => l.split(",")[0])).toEqual(wanted);
});
