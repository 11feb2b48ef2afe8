package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.nimbusds.jose.JWSVerifier;
import io.github.sentryagent.agentidp.TestServer.Reply;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** What of the key set the shared vectors do not tell. */
class KeysTest {
    private final AtomicReference<Instant> clock = new AtomicReference<>(Instant.ofEpochSecond(1_793_606_400));
    private final String both = VerifierVectorsTest.DOCUMENTS.get("a and b");
    private final String kid = firstKid("a");
    private final String other = firstKid("b");

    private static String firstKid(String document) {
        try {
            return KeySet.parse(VerifierVectorsTest.DOCUMENTS
                            .get(document)
                            .getBytes(java.nio.charset.StandardCharsets.UTF_8))
                    .kids()
                    .iterator()
                    .next();
        } catch (StrictJson.Malformed e) {
            throw new AssertionError(e);
        }
    }

    private Keys of(TestServer idp) {
        return new Keys(
                new Transport(null),
                URI.create(idp.url() + "/.well-known/jwks.json"),
                clock::get,
                Duration.ofMinutes(2));
    }

    private static Function<TestServer.Seen, Reply> tagged(String tag, String document) {
        return request -> request.header("If-None-Match").equals(tag)
                ? new Reply(304, Map.of("ETag", tag), "")
                : new Reply(200, Map.of("ETag", tag), document);
    }

    private void later(Duration time) {
        clock.set(clock.get().plus(time));
    }

    @Test
    void notModifiedConfirmsTheSet() {
        AtomicReference<Function<TestServer.Seen, Reply>> said = new AtomicReference<>(tagged("\"v1\"", both));
        try (TestServer idp = new TestServer(request -> said.get().apply(request))) {
            Keys keys = of(idp);
            Futures.await(keys.find(kid));
            later(Duration.ofHours(23));
            Futures.await(keys.find(kid)); // with a fetch behind it
            keys.settled().join();
            assertEquals("\"v1\"", idp.seen.get(1).header("If-None-Match"));
            said.set(request -> new Reply(503, Map.of(), ""));
            later(Duration.ofHours(23));
            Futures.await(keys.find(kid)); // for it was confirmed
            keys.settled().join();
            later(Duration.ofHours(2));
            assertThrows(VerificationUnavailableException.class, () -> Futures.await(keys.find(kid)));
        }
    }

    @Test
    void notModifiedOfNothingIsNoAnswer() {
        try (TestServer idp = new TestServer(request -> new Reply(304, Map.of("ETag", "\"v1\""), ""))) {
            Keys keys = of(idp);
            assertThrows(VerificationUnavailableException.class, () -> Futures.await(keys.find(kid)));
            assertEquals("", idp.seen.get(0).header("If-None-Match"));
        }
    }

    @Test
    void aTagThatIsNoneIsNotSentAndNothingConfirmed() {
        AtomicReference<Reply> said = new AtomicReference<>(new Reply(200, Map.of("ETag", "v1"), both));
        try (TestServer idp = new TestServer(request -> said.get())) {
            Keys keys = of(idp);
            Futures.await(keys.find(kid));
            said.set(new Reply(304, Map.of("ETag", "v1"), ""));
            later(Duration.ofHours(23));
            Futures.await(keys.find(kid));
            keys.settled().join();
            assertEquals("", idp.seen.get(1).header("If-None-Match"));
            later(Duration.ofHours(2));
            assertThrows(VerificationUnavailableException.class, () -> Futures.await(keys.find(kid)));
        }
    }

    /** The look at the set and the start of a wait are one step: no fetch ends unseen between them. */
    @Test
    void whoJoinsAFetchGetsWhatItBrings() throws Exception {
        CountDownLatch asked = new CountDownLatch(2);
        CountDownLatch answer = new CountDownLatch(1);
        AtomicReference<String> document = new AtomicReference<>(VerifierVectorsTest.DOCUMENTS.get("a"));
        try (TestServer idp = new TestServer(request -> {
            asked.countDown();
            if (asked.getCount() == 0) {
                TestServer.hold(answer);
            }
            return Reply.json(200, document.get());
        })) {
            Keys keys = of(idp);
            Futures.await(keys.find(kid));
            document.set(both);
            later(Duration.ofSeconds(10));
            List<CompletableFuture<JWSVerifier>> waiting = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                waiting.add(keys.find(other));
            }
            asked.await();
            waiting.forEach(one -> assertFalse(one.isDone()));
            Futures.await(keys.find(kid)); // a known one never waits
            answer.countDown();
            waiting.forEach(Futures::await);
            assertEquals(2, idp.seen.size());
        }
    }

    /** Of the caller, which the IdP has no part in. */
    @Test
    void anInterruptIsNoVerdict() {
        CountDownLatch answer = new CountDownLatch(1);
        try (TestServer idp = new TestServer(request -> {
            TestServer.hold(answer);
            return Reply.json(200, both);
        })) {
            Verifier verifier =
                    Verifier.builder().issuer(idp.url()).audience("a").build();
            String token =
                    Vectors.read("tokens.json").get("cases").get(0).get("token").asText();
            Thread.currentThread().interrupt();
            VerificationUnavailableException told =
                    assertThrows(VerificationUnavailableException.class, () -> verifier.verify(token));
            assertTrue(Thread.interrupted());
            assertEquals("interrupted", told.reason());
            answer.countDown();
        }
    }
}
