import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import type { Credential, Stage } from "./stage";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const pictures = new URL("../screenshots/", import.meta.url).pathname;

export function launch(): Promise<Browser> {
  mkdirSync(pictures, { recursive: true });
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [], // Chromium refuses its sandbox to root
  });
}

// measureDialog runs in the page: where the open dialog ends, and by how much it is wider than the screen.
function measureDialog(): { bottom: number; wider: number } | undefined {
  const dialog = document.querySelector("[role=dialog], [role=alertdialog]");
  if (!dialog) return undefined;
  const { top, right } = dialog.getBoundingClientRect();
  return { bottom: Math.ceil(top + dialog.scrollHeight) + 16, wider: right - document.documentElement.clientWidth };
}

// Visitor is one browser profile with one page, and everything that went wrong in it.
export class Visitor {
  readonly complaints: string[] = [];
  readonly requests: string[] = [];
  private underWay = 0; // requests

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly stage: Stage,
  ) {}

  // expected are console messages that the test causes: a 401 is one.
  static async arrive(browser: Browser, stage: Stage, expected: RegExp[] = []): Promise<Visitor> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      colorScheme: "light",
      locale: "en-GB",
      timezoneId: "Europe/Berlin",
    });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: stage.idp });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const visitor = new Visitor(context, page, stage);
    const complain = (text: string) => expected.some((e) => e.test(text)) || visitor.complaints.push(text);
    page.on(
      "console",
      (m) => (m.type() === "error" || m.type() === "warning") && complain(`${m.text()} ${m.location().url}`),
    );
    page.on("pageerror", (e) => complain(String(e)));
    page.on("request", (r) => {
      visitor.requests.push(`${r.method()} ${r.url()}`);
      visitor.underWay++;
      if (!r.url().startsWith(stage.idp) && !r.url().startsWith("blob:"))
        complain(`request to another origin: ${r.url()}`);
    });
    page.on("requestfinished", () => visitor.underWay--);
    page.on("requestfailed", () => visitor.underWay--);
    return visitor;
  }

  // fetched waits until a request was sent, and what was sent with it is here.
  async fetched(what: RegExp) {
    let quiet = 0;
    await expect
      .poll(() => {
        quiet = what.test(this.requests.join()) && this.underWay === 0 ? quiet + 1 : 0;
        return quiet;
      })
      .toBeGreaterThan(5);
  }

  async open(path = ""): Promise<void> {
    await this.page.goto(`${this.stage.idp}/dashboard${path}`);
  }

  async signIn(credential: Credential = this.stage.admin): Promise<void> {
    await this.page.getByLabel("Client id").fill(credential.clientId);
    await this.page.getByLabel("Client secret").fill(credential.clientSecret);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  // go follows the side bar, as people do: a reload would sign out.
  async go(name: string): Promise<void> {
    await this.page.getByRole("navigation", { name: "pages of the dashboard" }).getByRole("link", { name }).click();
    await this.heading(name);
  }

  async heading(name: string): Promise<void> {
    await this.page.getByRole("heading", { level: 1, name }).waitFor();
  }

  // settle waits until nothing is loading.
  async settle(): Promise<void> {
    await expect.poll(() => this.page.getByRole("status", { name: "loading" }).count(), { timeout: 30_000 }).toBe(0);
  }

  // inspect takes pictures of the page in light, dark and narrow, and runs axe in each.
  async inspect(name: string): Promise<void> {
    await this.settle();
    for (const [suffix, width, colorScheme] of [
      ["light", 1280, "light"],
      ["dark", 1280, "dark"],
      ["narrow", 360, "light"],
    ] as const) {
      await this.page.emulateMedia({ colorScheme });
      const height = width === 360 ? 740 : 900;
      await this.page.setViewportSize({ width, height });
      const dialog = await this.page.evaluate(measureDialog);
      // Behind a dialog is a page that stands still: its picture is what fits the screen, or all of the dialog.
      if (dialog) await this.page.setViewportSize({ width, height: Math.max(height, dialog.bottom) });
      else await this.page.evaluate(() => window.scrollTo(0, 0));
      await this.page.screenshot({
        path: `${pictures}${name}-${suffix}.png`,
        fullPage: !dialog,
        animations: "disabled",
      });
      expect(dialog?.wider ?? 0, `${name}, ${suffix}: the dialog is cut off at the side`).toBeLessThanOrEqual(0);
      expect(await this.axe(), `axe on ${name}, ${suffix}`).toEqual([]);
      const wider = await this.page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(wider, `${name}, ${suffix}: the page scrolls sideways`).toBeLessThanOrEqual(0);
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize({ width: 1280, height: 900 });
  }

  async axe(): Promise<string[]> {
    await this.page.evaluate(axeSource);
    // What passes is left out: it is most of the answer, and none of the verdict.
    const run = 'axe.run(document, { resultTypes: ["violations"] }).then((results) => results.violations)';
    const violations = (await this.page.evaluate(run)) as AxeResults["violations"];
    return violations
      .filter((v) => v.impact === "serious" || v.impact === "critical")
      .map(
        (v) =>
          `${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.target.join(" ")} ${n.failureSummary ?? ""}`).join("; ")}`,
      );
  }

  async leave(): Promise<void> {
    await this.context.close();
    expect(this.complaints).toEqual([]);
  }
}
