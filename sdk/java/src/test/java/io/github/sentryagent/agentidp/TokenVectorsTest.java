package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sentryagent.agentidp.TestServer.Reply;
import java.net.http.HttpClient;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class TokenVectorsTest {
    private static final Instant NOW = Instant.ofEpochSecond(1_793_606_400);

    @TestFactory
    Stream<DynamicTest> tokenResponses() {
        return Vectors.each(Vectors.read("token-responses.json").get("cases"), one -> {
            try (TestServer idp = new TestServer(request -> Vectors.reply(one))) {
                TokenSource source = new TokenSource(
                        Vectors.config(idp.url()).clock(() -> NOW).build());
                if (one.has("token")) {
                    JsonNode want = one.get("token");
                    AccessToken got = source.token();
                    assertEquals(want.get("accessToken").asText(), got.value());
                    assertEquals(want.get("scope").asText(), got.scope());
                    assertEquals(
                            want.get("expiresIn").asLong(),
                            Duration.between(NOW, got.expiresAt()).toSeconds());
                    return;
                }
                JsonNode want = one.get("error");
                AgentIdpException got = assertThrows(AgentIdpException.class, source::token);
                if (want.get("class").asText().equals("invalid_answer")) {
                    assertInstanceOf(InvalidAnswerException.class, got);
                    return;
                }
                ApiException refused = assertInstanceOf(ApiException.class, got);
                assertEquals(want.get("status").asInt(), refused.status());
                assertEquals(want.get("code").asText(), refused.code());
                assertEquals(want.get("message").asText(), refused.message());
                assertEquals(want.get("requestId").asText(), refused.requestId());
            }
        });
    }

    @TestFactory
    Stream<DynamicTest> errors() {
        return Vectors.each(Vectors.read("errors.json").get("cases"), one -> {
            JsonNode want = one.get("error");
            try (TestServer idp = new TestServer(request -> Vectors.reply(one))) {
                ManagementClient client = new ManagementClient(
                        Config.builder().url(idp.url()).retry(Vectors.hasty()).build());
                Caller caller = new Caller(client.config(), null);
                ApiException got = assertThrows(
                        ApiException.class,
                        () -> Futures.await(
                                caller.bytes(Call.get("/api/v1/agents/a").openly())));
                assertEquals(want.get("status").asInt(), got.status());
                assertEquals(want.get("code").asText(), got.code());
                assertEquals(want.get("message").asText(), got.message());
                assertEquals(want.get("requestId").asText(), got.requestId());
                assertEquals(want.get("retryAfter").asLong(), got.retryAfter().toSeconds());
                assertEquals(want.get("temporary").asBoolean(), got.temporary());
                assertEquals(details(want.get("details")), got.details());
                assertTrue(got.getMessage().contains("status " + got.status()), got.getMessage());
            }
        });
    }

    private static ErrorDetails details(JsonNode want) {
        return new ObjectMapper().convertValue(want, ErrorDetails.class);
    }

    @TestFactory
    Stream<DynamicTest> retries() {
        JsonNode vectors = Vectors.read("retries.json");
        assertEquals(vectors.get("attempts").asInt(), Retry.ATTEMPTS);
        assertEquals(vectors.get("maxRetryAfter").asInt(), Retry.MAX_RETRY_AFTER.toSeconds());
        return Vectors.each(vectors.get("cases"), TokenVectorsTest::retry);
    }

    private static void retry(JsonNode one) {
        String operation = one.get("operation").asText();
        AtomicInteger attempts = new AtomicInteger();
        AtomicInteger tokens = new AtomicInteger();
        try (TestServer idp = new TestServer(request -> {
            if (request.path().equals("/api/v1/token") && !operation.equals("token")) {
                return Reply.token("t-" + tokens.incrementAndGet(), 3600);
            }
            return answer(one.get("answers").get(attempts.getAndIncrement()), operation);
        })) {
            List<Duration> pauses = new CopyOnWriteArrayList<>();
            HttpClient client = new Elsewhere(idp, request -> {
                boolean forToken = request.uri().getPath().equals("/api/v1/token");
                boolean refused = forToken == operation.equals("token")
                        && one.get("answers").path(attempts.get()).has("connection");
                if (refused) {
                    attempts.incrementAndGet();
                }
                return refused;
            });
            Config config = Vectors.config(idp.url())
                    .httpClient(client)
                    .retry(Vectors.recording(pauses))
                    .build();
            AgentIdpException failure = null;
            try {
                operate(operation, config);
            } catch (AgentIdpException e) {
                failure = e;
            }
            switch (one.get("result").asText()) {
                case "success" -> assertEquals(null, failure);
                case "connection" -> assertInstanceOf(TransportException.class, failure);
                case "invalid_answer" -> assertInstanceOf(InvalidAnswerException.class, failure);
                default -> {
                    ApiException refused = assertInstanceOf(ApiException.class, failure);
                    assertEquals(one.get("status").asInt(), refused.status());
                    assertEquals(one.get("code").asText(), refused.code());
                }
            }
            assertEquals(one.get("attempts").asInt(), attempts.get());
            assertEquals(one.get("pauses").size(), pauses.size(), pauses.toString());
            for (int i = 0; i < pauses.size(); i++) {
                double seconds = pauses.get(i).toMillis() / 1000.0;
                JsonNode bounds = one.get("pauses").get(i);
                assertTrue(
                        seconds >= bounds.get(0).asDouble()
                                && seconds <= bounds.get(1).asDouble(),
                        pauses.toString());
            }
            if (one.has("tokens")) {
                assertEquals(one.get("tokens").asInt(), tokens.get());
            }
            if (operation.equals("post")) {
                List<String> keys = idp.seen.stream()
                        .filter(request -> request.path().equals("/api/v1/agents"))
                        .map(request -> request.header("Idempotency-Key"))
                        .distinct()
                        .toList();
                assertEquals(1, keys.size());
                assertFalse(keys.get(0).isEmpty());
            }
        }
    }

    @TestFactory
    Stream<DynamicTest> lostSecrets() {
        return Vectors.each(Vectors.read("lost-secrets.json").get("cases"), one -> {
            AtomicInteger attempts = new AtomicInteger();
            JsonNode answers = one.get("answers");
            try (TestServer idp = new TestServer(request -> request.path().equals("/api/v1/token")
                    ? Reply.token("t", 3600)
                    : answer(answers.get(attempts.getAndIncrement()), "rotate"))) {
                HttpClient client = new Elsewhere(idp, request -> {
                    boolean refused = !request.uri().getPath().equals("/api/v1/token")
                            && answers.path(attempts.get()).has("connection");
                    if (refused) {
                        attempts.incrementAndGet();
                    }
                    return refused;
                });
                Duration overlap = Duration.ofSeconds(one.get("overlapSeconds").asLong());
                AtomicReference<Instant> clock = new AtomicReference<>(NOW);
                Config config = Vectors.config(idp.url())
                        .httpClient(client)
                        .clock(clock::get)
                        .retry(new Retry(pause -> {
                            clock.set(clock.get().plusSeconds(1));
                            return CompletableFuture.completedFuture(null);
                        }))
                        .build();
                Credentials credentials = new ManagementClient(config).credentials();
                switch (one.get("result").asText()) {
                    case "success" ->
                        assertEquals(
                                "aidp_sk_2",
                                credentials.rotate("a", "c", overlap).clientSecret());
                    case "secret_lost" -> {
                        SecretLostException lost =
                                assertThrows(SecretLostException.class, () -> credentials.rotate("a", "c", overlap));
                        assertEquals(one.get("credentialId").asText(), lost.credentialId());
                        assertEquals(NOW.plus(overlap), lost.goodUntil());
                        ApiException refusal = assertInstanceOf(ApiException.class, lost.getCause());
                        assertEquals(409, refusal.status());
                        assertEquals(
                                one.get("credentialId").asText(),
                                refusal.details().credentialId());
                    }
                    default -> {
                        ApiException refused =
                                assertThrows(ApiException.class, () -> credentials.rotate("a", "c", overlap));
                        assertEquals(one.get("status").asInt(), refused.status());
                        assertEquals(one.get("code").asText(), refused.code());
                    }
                }
                assertEquals(one.get("attempts").asInt(), attempts.get());
                List<String> keys = idp.seen.stream()
                        .filter(request -> request.path().endsWith("/rotate"))
                        .map(request -> request.header("Idempotency-Key"))
                        .distinct()
                        .toList();
                assertEquals(1, keys.size());
                assertFalse(keys.get(0).isEmpty());
            }
        });
    }

    private static void operate(String operation, Config config) {
        ManagementClient client = new ManagementClient(config);
        switch (operation) {
            case "token" -> new TokenSource(config).token();
            case "get" -> client.agents().get("a");
            case "post" ->
                client.agents()
                        .create(io.github.sentryagent.agentidp.model.NewAgent.builder()
                                .email("a@example.com")
                                .build());
            case "patch" -> client.agents().suspend("a", "");
            case "delete" -> client.agents().decommission("a", null);
            default -> client.tokens().introspect("t");
        }
    }

    private static Reply answer(JsonNode one, String operation) {
        int status = one.get("status").asInt();
        Map<String, String> headers = new HashMap<>();
        if (one.has("retryAfter")) {
            headers.put("Retry-After", one.get("retryAfter").asText());
        }
        if (one.has("date")) {
            headers.put("Date", one.get("date").asText());
        }
        boolean oauth = operation.equals("token") || operation.equals("introspect");
        String body;
        if (one.has("body")) {
            body = one.get("body").asText();
        } else if (status == 204) {
            body = "";
        } else if (status / 100 == 2) {
            body = operation.equals("token")
                    ? Reply.token("t", 3600).body()
                    : operation.equals("introspect") ? "{\"active\":false}" : "{}";
        } else if (!one.has("code")) {
            body = "";
        } else {
            String code = one.get("code").asText();
            body = oauth
                    ? "{\"error\":\"%s\"}".formatted(code)
                    : "{\"code\":\"%s\",\"message\":\"m\",\"details\":{}}".formatted(code);
        }
        return new Reply(status, headers, body);
    }

    @TestFactory
    Stream<DynamicTest> refresh() {
        return Vectors.each(Vectors.read("refresh.json").get("scenarios"), scenario -> {
            AtomicReference<Instant> clock = new AtomicReference<>(NOW);
            AtomicReference<String> mode = new AtomicReference<>("good");
            AtomicInteger issued = new AtomicInteger();
            try (TestServer idp = new TestServer(request -> mode.get().equals("good")
                    ? Reply.token(
                            "t-" + issued.incrementAndGet(),
                            scenario.get("expiresIn").asLong())
                    : Reply.json(400, "{\"error\":\"unauthorized_client\"}"))) {
                TokenSource source = new TokenSource(
                        Vectors.config(idp.url()).clock(clock::get).build());
                for (JsonNode step : scenario.get("steps")) {
                    clock.set(NOW.plusSeconds(step.get("at").asLong()));
                    mode.set(step.get("answer").asText());
                    int requests = idp.seen.size();
                    String newest = "t-" + issued.get();
                    String got;
                    try {
                        got = source.token().value();
                    } catch (ApiException e) {
                        got = e.code();
                    }
                    source.settled().join();
                    String expect = step.get("expect").asText();
                    String where = step + ": " + got;
                    assertEquals(requests + (expect.equals("cached") ? 0 : 1), idp.seen.size(), where);
                    switch (expect) {
                        case "new" -> assertEquals("t-" + issued.get(), got, where);
                        case "error" -> assertEquals("unauthorized_client", got, where);
                        default -> assertEquals(newest, got, where);
                    }
                    if (expect.equals("new")) {
                        assertNotEquals(newest, got, where);
                    }
                }
            }
        });
    }

    @Test
    void settledWithoutAFlight() {
        TokenSource source =
                new TokenSource(Vectors.config("http://127.0.0.1:1").build());
        assertSame(null, source.settled().join());
    }
}
