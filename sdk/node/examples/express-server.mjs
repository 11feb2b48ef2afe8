// An API that verifies tokens itself, without a sidecar. It needs AGENTIDP_URL, and the name that its tokens are
// for in API_RESOURCE.
import { requireToken, Verifier } from "@agentidp/sdk";
import express from "express";

const verifier = new Verifier({
  issuer: process.env.AGENTIDP_URL ?? "http://127.0.0.1:8080",
  audience: process.env.API_RESOURCE ?? "http://127.0.0.1:3000",
  revocation: "status-list",
});

const app = express();
app.get("/health", (_request, response) => response.json({ status: "ok" }));
app.get("/notes", requireToken(verifier, { scope: "notes:read" }), (request, response) => {
  response.json({ caller: request.agent.subject, notes: [] });
});

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.once("SIGTERM", () => server.close());
