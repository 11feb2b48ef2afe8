package io.github.sentryagent.agentidp;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sentryagent.agentidp.TestServer.Reply;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;

/** The vectors that all SDKs share. */
final class Vectors {
    static final Path REPOSITORY = Path.of(System.getProperty("agentidp.repository", "../.."));

    private Vectors() {}

    static JsonNode read(String file) {
        try {
            return new ObjectMapper()
                    .readTree(Files.readAllBytes(
                            REPOSITORY.resolve("sdk/testdata").resolve(file)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Stream<DynamicTest> each(JsonNode cases, Consumer<JsonNode> run) {
        return StreamSupport.stream(cases.spliterator(), false)
                .map(one -> DynamicTest.dynamicTest(one.get("name").asText(), () -> run.accept(one)));
    }

    static String privateKey(String name) {
        return read("keys.json").get("privateKeys").get(name).asText();
    }

    /** With spaces at the end as padTo wants them. */
    static String body(JsonNode one) {
        String body = one.path("body").asText();
        return one.has("padTo") ? body + " ".repeat(one.get("padTo").asInt() - body.length()) : body;
    }

    static Reply reply(JsonNode one) {
        Map<String, String> headers = new HashMap<>();
        one.path("headers")
                .properties()
                .forEach(e -> headers.put(e.getKey(), e.getValue().asText()));
        return new Reply(one.get("status").asInt(), headers, body(one));
    }

    /** A retry whose pauses take no time. */
    static Retry recording(List<Duration> pauses) {
        return new Retry(length -> {
            pauses.add(length);
            return CompletableFuture.completedFuture(null);
        });
    }

    static Retry hasty() {
        return recording(new CopyOnWriteArrayList<>());
    }

    static ConfigBuilder config(String url) {
        return Config.builder()
                .url(url)
                .clientId("aidp_c_1")
                .clientSecret("aidp_sk_1")
                .retry(hasty());
    }
}
