// Lists and calls tools of the MCP server at URL with an access token.
// Usage: mcp-client.mjs URL TOKEN. Prints what happened as one JSON object.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

const [url, token] = process.argv.slice(2)
const client = new Client({ name: 'client', version: '1.0.0' })
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }))

async function attempt(name, args) {
  try {
    const result = await client.callTool({ name, arguments: args })
    return { text: result.content.map((part) => part.text).join(''), isError: Boolean(result.isError) }
  } catch (error) {
    return { error: error.message }
  }
}

const tools = (await client.listTools()).tools.map((tool) => tool.name).sort()
const echo = await attempt('echo', { text: 'hello' })
const refused = await attempt('delete_all', {})
console.log(JSON.stringify({ tools, echo, refused }))
await client.close()
