import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { root } from "./stage.js";

/** Runs a program of the examples to its end; what it wrote. */
export async function run(example: string, environment: Record<string, string>): Promise<string> {
  const child = start(example, environment);
  let output = "";
  child.stdout?.on("data", (chunk) => (output += chunk));
  const status = await new Promise((resolve) => child.once("close", resolve));
  if (status !== 0) throw new Error(`${example} ended with ${status}: ${output}`);
  return output;
}

/** Starts a server of the examples, and waits for the line that says where it is. */
export async function serve(
  example: string,
  environment: Record<string, string>,
): Promise<{ url: string; end(): Promise<void> }> {
  const child = start(example, environment);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
    const [url] = /http:\S+/.exec(line) ?? [];
    if (!url) continue;
    const end = () => {
      child.kill("SIGTERM");
      return ended;
    };
    return { url, end };
  }
  throw new Error(`${example} ended before it listened`);
}

function start(example: string, environment: Record<string, string>): ChildProcess {
  const env = { PATH: process.env.PATH ?? "", ...environment };
  return spawn(process.execPath, [`examples/${example}`], { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
}
