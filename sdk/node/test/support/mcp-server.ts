import { createServer, type Server as HttpServer } from "node:http";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const inputSchema = { type: "object", properties: { a: { type: "number" }, b: { type: "number" } } } as const;

/** An MCP server with two tools, without sessions. */
export async function startMcpServer(): Promise<HttpServer> {
  const http = createServer(async (request, response) => {
    if (request.method !== "POST") {
      response.writeHead(405).end();
      return;
    }
    const server = new Server({ name: "sums", version: "1.0.0" }, { capabilities: { tools: {} } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({
      tools: [
        { name: "add", inputSchema },
        { name: "subtract", inputSchema },
      ],
    }));
    server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
      const { a, b } = params.arguments as { a: number; b: number };
      return { content: [{ type: "text", text: String(params.name === "add" ? a + b : a - b) }] };
    });
    const transport = new StreamableHTTPServerTransport();
    response.on("close", () => server.close());
    await server.connect(transport as Parameters<typeof server.connect>[0]);
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return http;
}

export function portOf(server: HttpServer): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("it does not listen");
  return address.port;
}
