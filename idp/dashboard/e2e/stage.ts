import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

const repository = new URL("../../..", import.meta.url).pathname;
const bin = process.env.AGENTIDP_BIN ?? `${repository}/.cache/programs`;

export type Credential = { clientId: string; clientSecret: string };
export type Agent = { agentId: string; email: string; credential: Credential };

// Stage is the real product on free ports: IdP, sidecar, notes API (deploy/dev/cmd/stage).
export class Stage {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly idp: string,
    readonly sidecar: string,
    readonly resource: string,
    readonly adminFile: string,
    readonly admin: Credential,
  ) {}

  static async start(): Promise<Stage> {
    const child = spawn(`${bin}/stage`, ["-bin", bin, "-routes", `${repository}/deploy/dev/routes.yaml`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error("the stage ended: run `make dashboard-e2e`, which builds the programs");
    const at = JSON.parse(first.value) as {
      idp: string;
      sidecar: string;
      resource: string;
      adminFile: string;
      admin: Credential;
    };
    return new Stage(child, lines, at.idp, at.sidecar, at.resource, at.adminFile, at.admin);
  }

  // tell does stop-idp or start-idp, and waits until it is done.
  async tell(command: "stop-idp" | "start-idp"): Promise<void> {
    this.process.stdin?.write(`${command}\n`);
    const answer = await this.lines.next();
    if (answer.value !== "ok") throw new Error(`${command}: ${answer.value}`);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.stdin?.end();
    await ended;
  }

  async token(credential: Credential, resource?: string): Promise<string> {
    const body = new URLSearchParams({ grant_type: "client_credentials", ...(resource && { resource }) });
    const basic = Buffer.from(`${credential.clientId}:${credential.clientSecret}`).toString("base64");
    const answer = await fetch(`${this.idp}/api/v1/token`, {
      method: "POST",
      body,
      headers: { Authorization: `Basic ${basic}` },
    });
    if (!answer.ok) throw new Error(`token: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  // api calls the management API as the administrator. A busy machine may say 503, which changes nothing.
  async api<T>(method: string, path: string, body?: unknown, attempts = 5): Promise<T> {
    const token = await this.token(this.admin);
    const answer = await fetch(this.idp + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (answer.status === 503 && attempts > 1) return this.api(method, path, body, attempts - 1);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  }

  // register makes an agent with a credential; members replace the usual ones.
  async register(email: string, members: Record<string, unknown> = {}): Promise<Agent> {
    const { agentId } = await this.api<{ agentId: string }>("POST", "/api/v1/agents", {
      email,
      agentType: "custom",
      version: "1.0.0",
      owner: "e2e",
      deploymentEnv: "development",
      capabilities: ["notes:read"],
      ...members,
    });
    const credential = await this.api<Credential>("POST", `/api/v1/agents/${agentId}/credentials`, {});
    return { agentId, email, credential };
  }

  // call sends a request through the sidecar and returns its status.
  async call(token: string, method: string, path: string): Promise<number> {
    const answer = await fetch(this.sidecar + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      ...(method === "POST" && { body: JSON.stringify({ text: "hello" }) }),
    });
    await answer.arrayBuffer();
    return answer.status;
  }
}
