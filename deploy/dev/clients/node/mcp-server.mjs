// An MCP server with three tools. Usage: mcp-server.mjs PORT PATH.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { z } from 'zod'

function tools() {
  const server = new McpServer({ name: 'tools', version: '1.0.0' })
  const text = (value) => ({ content: [{ type: 'text', text: value }] })
  server.registerTool('echo', { description: 'Gives the text back.', inputSchema: { text: z.string() } }, ({ text: value }) => text(value))
  server.registerTool('add', { description: 'Adds two numbers.', inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => text(String(a + b)))
  server.registerTool('delete_all', { description: 'Deletes everything.' }, () => text('deleted'))
  return server
}

const app = createMcpExpressApp()
app.all(process.argv[3], async (request, response) => {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  response.on('close', () => transport.close())
  await tools().connect(transport)
  await transport.handleRequest(request, response, request.body)
})
app.listen(Number(process.argv[2]), '127.0.0.1')
