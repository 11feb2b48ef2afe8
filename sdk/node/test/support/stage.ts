import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "../../src/client.js";
import type { Agent, NewAgent } from "../../src/models.js";

export const root = new URL("../..", import.meta.url).pathname;
export const programs = resolve(root, process.env.AGENTIDP_PROGRAMS ?? "../../.cache/programs");

/** What a program of the examples needs to be this agent. */
export interface Registered {
  agent: Agent;
  credentialId: string;
  clientId: string;
  clientSecret: string;
}

/** The real product on free ports: IdP, sidecar, notes API (deploy/dev/cmd/stage). */
export class Stage {
  private registered = 0;

  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    private readonly folder: string,
    readonly idp: string,
    readonly sidecar: string,
    readonly resource: string,
    readonly adminFile: string,
    readonly admin: Client,
  ) {}

  /** @param routes - of the sidecar, as YAML */
  static async start(routes: string): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), "agentidp-sdk-"));
    writeFileSync(join(folder, "routes.yaml"), routes);
    const child = spawn(join(programs, "stage"), ["-bin", programs, "-routes", join(folder, "routes.yaml")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const missing = new Promise<never>((_, reject) =>
      child.once("error", (cause) =>
        reject(
          new Error(`${programs}/stage does not start: build the programs there, or set AGENTIDP_PROGRAMS`, { cause }),
        ),
      ),
    );
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await Promise.race([lines.next(), missing]);
    if (first.done) throw new Error("the stage ended before it was ready");
    const at = JSON.parse(first.value);
    const admin = new Client({ url: at.idp, ...at.admin });
    return new Stage(child, lines, folder, at.idp, at.sidecar, at.resource, at.adminFile, admin);
  }

  /** Does it, and waits until it is done. */
  async tell(command: "stop-idp" | "start-idp"): Promise<void> {
    this.process.stdin?.write(`${command}\n`);
    const answer = await this.lines.next();
    if (answer.value !== "ok") throw new Error(`${command}: ${answer.value}`);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.stdin?.end();
    await ended;
    rmSync(this.folder, { recursive: true });
  }

  /** Makes an agent with a credential. */
  async register(capabilities: string[], members: Partial<NewAgent> = {}): Promise<Registered> {
    const agent = await this.admin.agents.create({
      email: `sdk-node-${++this.registered}@example.com`,
      agentType: "custom",
      version: "1.0.0",
      owner: "sdk",
      deploymentEnv: "development",
      capabilities,
      ...members,
    });
    const { credentialId, clientId, clientSecret = "" } = await this.admin.credentials.create(agent.agentId);
    return { agent, credentialId, clientId, clientSecret };
  }

  /** The environment of a program that is this agent. */
  environment({ clientId, clientSecret }: Registered): Record<string, string> {
    return { AGENTIDP_URL: this.idp, AGENTIDP_CLIENT_ID: clientId, AGENTIDP_CLIENT_SECRET: clientSecret };
  }

  /** A configuration for calls through the sidecar. */
  config({ clientId, clientSecret }: Pick<Registered, "clientId" | "clientSecret">) {
    return { url: this.idp, clientId, clientSecret, resources: [this.resource] };
  }
}

/** Tries until it holds, for up to a minute. */
export async function eventually<T>(attempt: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const value = await attempt();
    if (holds(value)) return value;
    if (tries === 600) throw new Error(`it never came true; the last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
