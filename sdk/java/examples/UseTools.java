import io.github.sentryagent.agentidp.Config;
import io.github.sentryagent.agentidp.TokenSource;
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.spec.McpSchema;
import java.time.Duration;
import java.util.Map;

/** An MCP client with the agent's token calls a tool: {@code java UseTools.java RESOURCE PATH TOOL TEXT}. */
final class UseTools {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    private UseTools() {}

    public static void main(String[] args) {
        TokenSource tokens = new TokenSource(Config.fromEnvironment().withResources(args[0]));
        var transport = HttpClientStreamableHttpTransport.builder(args[0])
                .endpoint(args[1])
                .addHttpRequestCustomizer((request, method, uri, body, context) -> request.setHeader(
                        "Authorization", "Bearer " + tokens.token().value()))
                .build();
        try (var client = McpClient.sync(transport)
                .initializationTimeout(PATIENCE)
                .requestTimeout(PATIENCE)
                .build()) {
            client.initialize();
            client.listTools().tools().forEach(tool -> System.out.println("tool " + tool.name()));
            var call = McpSchema.CallToolRequest.builder(args[2])
                    .arguments(Map.of("text", args[3]))
                    .build();
            System.out.println(client.callTool(call).content());
        }
    }
}
