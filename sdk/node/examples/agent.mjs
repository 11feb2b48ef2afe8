// An agent that calls a protected API. It needs AGENTIDP_URL, AGENTIDP_CLIENT_ID, AGENTIDP_CLIENT_SECRET, and
// the API's address in API_URL.
import { fromEnvironment, TokenSource } from "@agentidp/sdk";

const api = process.env.API_URL ?? "http://127.0.0.1:8081";
const source = new TokenSource({ ...fromEnvironment(), resources: [api] });

const written = await source.fetch(`${api}/notes`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ text: "hello from Node.js" }),
});
console.log("POST /notes:", written.status);

const read = await source.fetch(`${api}/notes`);
console.log("GET /notes:", read.status, await read.json());
