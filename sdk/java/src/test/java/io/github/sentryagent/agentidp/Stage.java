package io.github.sentryagent.agentidp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** The real product on free ports: IdP, sidecar and notes API (deploy/dev/cmd/stage). */
final class Stage implements AutoCloseable {
    private final Process process;
    private final BufferedReader lines;
    private final Writer commands;
    private final JsonNode place;

    private Stage(Process process) throws IOException {
        this.process = process;
        this.lines = process.inputReader(StandardCharsets.UTF_8);
        this.commands = process.outputWriter(StandardCharsets.UTF_8);
        String first = lines.readLine();
        if (first == null) {
            throw new IllegalStateException("the stage ended");
        }
        this.place = new ObjectMapper().readTree(first);
    }

    static Stage start(Path routes) throws IOException {
        List<String> command =
                List.of(program("stage").toString(), "-bin", programs().toString(), "-routes", routes.toString());
        return new Stage(new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start());
    }

    static Path programs() {
        String folder = System.getenv("AGENTIDP_PROGRAMS");
        Path path =
                folder == null || folder.isEmpty() ? Vectors.REPOSITORY.resolve(".cache/programs") : Path.of(folder);
        return path.toAbsolutePath().normalize();
    }

    static Path program(String name) {
        Path program = programs().resolve(name);
        if (!Files.isExecutable(program)) {
            throw new IllegalStateException(
                    program + " is missing: run `make programs`, or name the folder in AGENTIDP_PROGRAMS");
        }
        return program;
    }

    String idp() {
        return place.get("idp").asText();
    }

    String sidecar() {
        return place.get("sidecar").asText();
    }

    String resource() {
        return place.get("resource").asText();
    }

    Config admin() {
        JsonNode admin = place.get("admin");
        return Config.builder()
                .url(idp())
                .clientId(admin.get("clientId").asText())
                .clientSecret(admin.get("clientSecret").asText())
                .build();
    }

    Path adminFile() {
        return Path.of(place.get("adminFile").asText());
    }

    /** Does stop-idp or start-idp, and waits until it is done. */
    void tell(String command) throws IOException {
        commands.write(command + "\n");
        commands.flush();
        String answer = lines.readLine();
        if (!"ok".equals(answer)) {
            throw new IllegalStateException(command + ": " + answer);
        }
    }

    @Override
    public void close() throws IOException {
        commands.close();
        try {
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroy();
            }
        } catch (InterruptedException e) {
            process.destroy();
            Thread.currentThread().interrupt();
        }
    }

    /** An IdP that has just begun may be degraded for a moment: its status lists are behind. */
    static void untilWell(ManagementClient client) throws InterruptedException {
        eventually("the IdP is well", () -> {
            try {
                return client.health().status().equals("ok");
            } catch (AgentIdpException e) {
                return false;
            }
        });
    }

    /** Waits for a state that comes by itself. */
    static void eventually(String what, BooleanSupplier state) throws InterruptedException {
        Instant end = Instant.now().plus(Duration.ofSeconds(60));
        while (!state.getAsBoolean()) {
            if (Instant.now().isAfter(end)) {
                throw new AssertionError("never: " + what);
            }
            Thread.sleep(50);
        }
    }
}
