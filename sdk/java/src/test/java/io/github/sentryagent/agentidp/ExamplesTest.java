package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The examples as programs. */
class ExamplesTest extends OnStage {
    private static ProcessBuilder example(String name, Registered agent, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                name));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.appendTo(
                        folder.resolve(name + ".log").toFile()));
        builder.environment().keySet().removeIf(variable -> variable.startsWith("AGENTIDP_"));
        builder.environment()
                .putAll(Map.of(
                        "AGENTIDP_URL", stage.idp(),
                        "AGENTIDP_CLIENT_ID", agent.credential().clientId(),
                        "AGENTIDP_CLIENT_SECRET", agent.credential().clientSecret()));
        return builder;
    }

    private static String printed(ProcessBuilder example) throws Exception {
        Process process = example.start();
        process.getOutputStream().close();
        String all = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(
                0,
                process.waitFor(),
                () -> all + Vectors.text(example.redirectError().file().toPath()));
        return all;
    }

    @Test
    void theExamplesRun() throws Exception {
        Registered agent = register("notes:read", "mcp:use", "mcp:tool/echo");
        String called = printed(example("CallApi", agent, stage.resource(), stage.sidecar() + "/notes"));
        assertTrue(called.startsWith("200 ") && called.contains(agent.agentId()), called);

        String measured = printed(example("ThousandCalls", agent, stage.resource(), stage.sidecar() + "/notes", "20"));
        assertTrue(measured.contains("20 calls, 20 at a time"), measured);

        String used = printed(example("UseTools", agent, stage.resource(), "/mcp", "echo", "hello tools"));
        assertTrue(used.contains("tool echo") && used.contains("hello tools"), used);
        assertFalse(used.contains("delete_all"), used);

        Process server = example("ProtectApi", agent, stage.idp(), "https://hello.example.com")
                .start();
        try (BufferedReader lines = server.inputReader(StandardCharsets.UTF_8)) {
            String url = lines.readLine();
            assertEquals(
                    "200 hello, " + agent.agentId() + "\n",
                    printed(example("CallApi", agent, "https://hello.example.com", url + "/")));
            String other = printed(example("CallApi", agent, stage.resource(), url + "/"));
            assertTrue(other.startsWith("401 ") && other.contains("audience_mismatch"), other);
        } finally {
            server.getOutputStream().close();
            server.waitFor();
        }
    }
}
