package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sentryagent.agentidp.TestServer.Reply;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

class VerifierVectorsTest {
    private static final Duration LONGEST_WAIT = Duration.ofMinutes(2); // longer than a machine may be busy
    static final Map<String, String> DOCUMENTS = documents();

    private static Map<String, String> documents() {
        Map<String, String> all = new HashMap<>();
        Vectors.read("jwks.json")
                .get("documents")
                .forEach(one -> all.put(one.get("name").asText(), Vectors.body(one)));
        return all;
    }

    @TestFactory
    Stream<DynamicTest> jwks() {
        return Vectors.each(Vectors.read("jwks.json").get("documents"), one -> {
            // The bound on the size is the transport's.
            byte[] body = Vectors.body(one).getBytes(StandardCharsets.UTF_8);
            boolean tooLarge = body.length > KeySet.MAX_DOCUMENT;
            if (one.get("usable").isNull()) {
                assertTrue(tooLarge || fails(body));
                return;
            }
            Set<String> want = new HashSet<>();
            one.get("usable").forEach(kid -> want.add(kid.asText()));
            try {
                assertEquals(want, KeySet.parse(body).kids());
            } catch (StrictJson.Malformed e) {
                throw new AssertionError(e);
            }
        });
    }

    private static boolean fails(byte[] body) {
        assertThrows(StrictJson.Malformed.class, () -> KeySet.parse(body));
        return true;
    }

    @TestFactory
    Stream<DynamicTest> tokens() {
        JsonNode vectors = Vectors.read("tokens.json");
        Instant now = Instant.ofEpochSecond(vectors.get("now").asLong());
        TestServer idp = new TestServer(
                request -> Reply.json(200, DOCUMENTS.get(vectors.get("jwks").asText())));
        Verifier verifier = Verifier.builder()
                .issuer(vectors.get("issuer").asText())
                .audience(vectors.get("audience").asText())
                .httpClient(new Elsewhere(idp))
                .clock(() -> now)
                .longestWait(LONGEST_WAIT)
                .build();
        return Vectors.each(vectors.get("cases"), one -> {
                    assertEquals(
                            one.get("expect").asText(),
                            verdict(verifier, one.get("token").asText()));
                    if (one.has("claims")) {
                        claims(
                                one.get("claims"),
                                verifier.verify(one.get("token").asText()));
                    }
                })
                .onClose(idp::close);
    }

    private static void claims(JsonNode want, VerifiedToken got) {
        assertEquals(want.get("subject").asText(), got.subject());
        assertEquals(want.get("clientId").asText(), got.clientId());
        assertEquals(want.get("organization").asText(), got.organization());
        assertEquals(want.get("scope").asText(), got.scope());
        assertEquals(want.get("jti").asText(), got.jti());
        assertEquals(want.get("kid").asText(), got.kid());
        assertEquals(want.get("issuedAt").asLong(), got.issuedAt().getEpochSecond());
        assertEquals(want.get("expiresAt").asLong(), got.expiresAt().getEpochSecond());
        List<String> audience = new java.util.ArrayList<>();
        want.get("audience").forEach(one -> audience.add(one.asText()));
        assertEquals(audience, got.audience());
    }

    private static String verdict(Verifier verifier, String token) {
        try {
            verifier.verify(token);
            return "accept";
        } catch (TokenRefusedException e) {
            assertTrue(token.isEmpty() || !e.getMessage().contains(token));
            return e.reason().code();
        } catch (VerificationUnavailableException e) {
            return e.reason();
        }
    }

    @TestFactory
    Stream<DynamicTest> rotations() {
        JsonNode vectors = Vectors.read("jwks-rotations.json");
        Instant start = Instant.ofEpochSecond(vectors.get("start").asLong());
        return Vectors.each(vectors.get("scenarios"), scenario -> {
            AtomicReference<Instant> clock = new AtomicReference<>(start);
            AtomicReference<String> fetch = new AtomicReference<>("");
            AtomicInteger lost = new AtomicInteger();
            try (TestServer idp = new TestServer(request -> keys(fetch.get()))) {
                Verifier verifier = Verifier.builder()
                        .issuer(vectors.get("issuer").asText())
                        .audience(vectors.get("audience").asText())
                        .httpClient(new Elsewhere(idp, request -> {
                            boolean away = fetch.get().equals("away");
                            if (away) {
                                lost.incrementAndGet();
                            }
                            return away;
                        }))
                        .clock(clock::get)
                        .longestWait(LONGEST_WAIT)
                        .build();
                for (JsonNode step : scenario.get("steps")) {
                    clock.set(start.plusSeconds(step.get("at").asLong()));
                    fetch.set(step.get("fetch").asText());
                    int before = idp.seen.size() + lost.get();
                    String got = verdict(verifier, step.get("token").asText());
                    verifier.keys.settled().join();
                    String where = "at " + step.get("at") + ", " + fetch.get();
                    assertEquals(step.get("expect").asText(), got, where);
                    assertEquals(step.get("fetches").asInt(), idp.seen.size() + lost.get() - before, where);
                }
            }
        });
    }

    private static Reply keys(String fetch) {
        if (fetch.startsWith("status ")) {
            int status = Integer.parseInt(fetch.substring("status ".length()));
            return new Reply(status, Map.of("Location", "https://elsewhere.example.com/"), "");
        }
        return Reply.json(200, DOCUMENTS.get(fetch));
    }

    @TestFactory
    Stream<DynamicTest> statusLists() {
        JsonNode vectors = Vectors.read("status-lists.json");
        String issuer = vectors.get("issuer").asText();
        Instant now = Instant.ofEpochSecond(vectors.get("now").asLong());
        return Vectors.each(vectors.get("cases"), one -> {
            try (TestServer idp = new TestServer(request -> request.path().startsWith("/statuslists")
                    ? new Reply(
                            one.get("status").asInt(),
                            Map.of("Location", "https://elsewhere.example.com/"),
                            one.get("body").asText())
                    : Reply.json(200, DOCUMENTS.get(vectors.get("jwks").asText())))) {
                StatusLists lists = statusLists(idp, issuer, new AtomicReference<>(now));
                VerifiedToken token = withStatus(new VerifiedToken.StatusReference(
                        one.get("uri").asText(), one.get("index").asLong()));
                assertEquals(one.get("expect").asText(), verdict(lists, token));
                if (!one.get("uri").asText().startsWith(issuer)) {
                    assertEquals(0, idp.seen.size());
                }
            }
        });
    }

    static StatusLists statusLists(TestServer idp, String issuer, AtomicReference<Instant> clock) {
        Transport transport = new Transport(new Elsewhere(idp));
        Keys keys = new Keys(transport, URI.create(issuer + "/.well-known/jwks.json"), clock::get, LONGEST_WAIT);
        return new StatusLists(transport, keys, issuer, clock::get, LONGEST_WAIT);
    }

    static String verdict(StatusLists lists, VerifiedToken token) {
        try {
            Futures.await(lists.check("", token));
            return "accept";
        } catch (TokenRefusedException e) {
            return e.reason().code();
        } catch (VerificationUnavailableException e) {
            return e.reason();
        }
    }

    static VerifiedToken withStatus(VerifiedToken.StatusReference status) {
        return new VerifiedToken(
                "i",
                "s",
                List.of("a"),
                "c",
                "o",
                "",
                "j",
                Instant.EPOCH,
                Instant.EPOCH,
                Optional.ofNullable(status),
                "k");
    }
}
