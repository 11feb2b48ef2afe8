// How long 1,000 calls take with a cached token, one after the other and then 20 at a time. It needs what agent.mjs needs.
import { fromEnvironment, TokenSource } from "@agentidp/sdk";

const api = process.env.API_URL ?? "http://127.0.0.1:8081";
const calls = Number(process.env.CALLS ?? 1000);
const source = new TokenSource({ ...fromEnvironment(), resources: [api] });
await source.token();

async function call() {
  const answer = await source.fetch(`${api}/notes`);
  await answer.arrayBuffer();
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
}

for (const width of [1, 20]) {
  const began = performance.now();
  let left = calls;
  const worker = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: width }, worker));
  const took = performance.now() - began;
  console.log(`${calls} calls, ${width} at a time: ${took.toFixed(0)} ms, ${(took / calls).toFixed(2)} ms a call`);
}
