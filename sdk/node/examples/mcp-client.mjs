// An MCP client whose requests carry a fresh token. It needs AGENTIDP_URL, AGENTIDP_CLIENT_ID,
// AGENTIDP_CLIENT_SECRET, the MCP server's address in MCP_URL, and the name that its tokens are for in MCP_RESOURCE.
import { fromEnvironment, TokenSource } from "@agentidp/sdk";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const url = process.env.MCP_URL ?? "http://127.0.0.1:8081/mcp";
const source = new TokenSource({ ...fromEnvironment(), resources: [process.env.MCP_RESOURCE ?? url] });

const client = new Client({ name: "agentidp-example", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch: source.fetch }));
const { tools } = await client.listTools();
console.log("tools:", tools.map((tool) => tool.name).join(", "));
const { content } = await client.callTool({ name: "add", arguments: { a: 2, b: 3 } });
console.log("add:", content);
await client.close();
