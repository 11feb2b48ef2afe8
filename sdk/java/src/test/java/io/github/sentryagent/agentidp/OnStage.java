package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Agent;
import io.github.sentryagent.agentidp.model.AgentType;
import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import io.github.sentryagent.agentidp.model.DeploymentEnv;
import io.github.sentryagent.agentidp.model.NewAgent;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

/** Tests against the real IdP and sidecar, each with agents of its own. */
abstract class OnStage {
    static Stage stage;
    static ManagementClient admin;
    private static Servlets tools;

    @TempDir
    static Path folder;

    @BeforeAll
    static void start() throws Exception {
        tools = ToolServer.start(Files.createDirectories(folder.resolve("tools")));
        Path routes = folder.resolve("routes.yaml");
        Files.writeString(routes, """
                upstreams:
                  tools: {urls: ["%s"]}
                routes:
                  - { methods: [GET], path: /notes, capability: "notes:read" }
                  - { methods: [POST], path: /notes, capability: "notes:write" }
                  - { path: /mcp, methods: [GET, POST, DELETE], capability: "mcp:use", protocol: mcp, upstream: tools }
                """.formatted(tools.url()));
        stage = Stage.start(routes);
        admin = new ManagementClient(stage.admin());
        Stage.untilWell(admin);
    }

    @AfterAll
    static void stop() throws Exception {
        try {
            if (stage != null) {
                stage.close();
            }
        } finally {
            tools.close();
        }
    }

    /** An agent with a secret. */
    record Registered(String agentId, CredentialWithSecret credential) {
        Config config() {
            return Config.builder()
                    .url(stage.idp())
                    .clientId(credential.clientId())
                    .clientSecret(credential.clientSecret())
                    .resources(stage.resource())
                    .build();
        }
    }

    static NewAgent.Builder newAgent(String... capabilities) {
        return NewAgent.builder()
                .email("java-" + UUID.randomUUID() + "@example.com")
                .agentType(AgentType.CUSTOM)
                .version("1.0.0")
                .owner("java")
                .deploymentEnv(DeploymentEnv.DEVELOPMENT)
                .capabilities(capabilities);
    }

    static Registered register(String... capabilities) {
        Agent agent = admin.agents().create(newAgent(capabilities).build());
        return new Registered(agent.agentId(), admin.credentials().create(agent.agentId()));
    }

    static HttpResponse<String> notes(HttpClient client) {
        try {
            return client.send(
                    HttpRequest.newBuilder(URI.create(stage.sidecar() + "/notes"))
                            .build(),
                    BodyHandlers.ofString());
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    static Verifier.Builder verifier() {
        return Verifier.builder().issuer(stage.idp()).audience(stage.resource());
    }
}
