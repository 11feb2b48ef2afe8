package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.sentryagent.agentidp.TestServer.Reply;
import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import java.net.http.HttpHeaders;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** How often management calls are made, how long they last, and what a rotation keeps. */
class CallerTest {
    private static final String CREDENTIAL =
            "{\"credentialId\":\"c\",\"clientId\":\"aidp_c_1\",\"agentId\":\"a\",\"clientSecret\":\"aidp_sk_2\"}";
    private static final String OWN_TOKEN = "e30."
            + java.util.Base64.getUrlEncoder().withoutPadding().encodeToString("{\"sub\":\"a\"}".getBytes())
            + ".c2ln";

    private static Reply token() {
        return Reply.token(OWN_TOKEN, 3600);
    }

    @Test
    void retriesOfACallDoNotMultiplyThoseOfItsTokenRequest() {
        try (TestServer idp = new TestServer(request -> new Reply(503, Map.of(), ""))) {
            ManagementClient client =
                    new ManagementClient(Vectors.config(idp.url()).build());
            ApiException refused =
                    assertThrows(ApiException.class, () -> client.agents().get("a"));
            assertEquals(503, refused.status());
            assertEquals(Retry.ATTEMPTS, idp.count("/api/v1/token"));
            assertEquals(Retry.ATTEMPTS, idp.seen.size());
        }
    }

    @Test
    void aCallEndsWithItsLimitHoweverManyAttemptsAreLeft() {
        CompletableFuture<Void> pause = new CompletableFuture<>();
        try (TestServer idp = new TestServer(request -> new Reply(503, Map.of(), ""))) {
            Config config = Config.builder()
                    .url(idp.url())
                    .retry(new Retry(length -> pause))
                    .build();
            Call call = Call.get("/health").openly();
            assertEquals(Duration.ofSeconds(60), call.limit());
            TransportException late = assertThrows(
                    TransportException.class,
                    () -> Futures.await(new Caller(config, null).bytes(call.within(Duration.ofMillis(50)))));
            assertTrue(late.timedOut());
            pause.complete(null);
            assertTrue(idp.seen.size() <= 1, "an attempt that nobody waits for");
        }
    }

    @Test
    void introspectionThatIsNotAnsweredInTwoSecondsCannotTell() {
        try (TestServer idp = new TestServer(request -> {
            if (request.path().equals("/api/v1/token")) {
                return token();
            }
            TestServer.hold(new CountDownLatch(1));
            return Reply.NONE;
        })) {
            ManagementClient client =
                    new ManagementClient(Vectors.config(idp.url()).build());
            var vectors = Vectors.read("tokens.json");
            try (TestServer issuer =
                    new TestServer(request -> Reply.json(200, VerifierVectorsTest.DOCUMENTS.get("a and b")))) {
                Verifier verifier = Verifier.builder()
                        .issuer(vectors.get("issuer").asText())
                        .audience(vectors.get("audience").asText())
                        .httpClient(new Elsewhere(issuer))
                        .clock(() -> java.time.Instant.ofEpochSecond(
                                vectors.get("now").asLong()))
                        .introspect(client)
                        .build();
                VerificationUnavailableException unknown = assertThrows(
                        VerificationUnavailableException.class,
                        () -> verifier.verify(
                                vectors.get("cases").get(0).get("token").asText()));
                assertEquals("revocations_stale", unknown.reason());
                assertTrue(unknown.getCause().getMessage().contains("within 2 s"), unknown.getCause()::getMessage);
            }
        }
    }

    @Test
    void anOverlapIsRoundedUp() {
        try (TestServer idp = new TestServer(
                request -> request.path().equals("/api/v1/token") ? token() : Reply.json(200, CREDENTIAL))) {
            Credentials credentials =
                    new ManagementClient(Vectors.config(idp.url()).build()).credentials();
            for (long millis : new long[] {500, 1500, 2000, 0, -500}) {
                credentials.rotate("a", "c", Duration.ofMillis(millis));
            }
            List<String> bodies = idp.seen.stream()
                    .filter(request -> request.path().endsWith("/rotate"))
                    .map(TestServer.Seen::body)
                    .toList();
            assertEquals(
                    List.of(1, 2, 2, 0, -1).stream()
                            .map(seconds -> "{\"overlapSeconds\":" + seconds + "}")
                            .toList(),
                    bodies);
        }
    }

    @Test
    void noRetryAfterIsTooLongToBeTold() {
        for (String absurd :
                List.of("99999999999999999999999", "9223372036854775807", "Fri, 31 Dec 9999 23:59:59 GMT")) {
            Transport.Answer answer = new Transport.Answer(
                    503, HttpHeaders.of(Map.of("Retry-After", List.of(absurd)), (a, b) -> true), new byte[0], true);
            assertEquals(RetryAfter.LONGEST, ApiException.of(answer).retryAfter(), absurd);
        }
    }

    /** An IdP where the agent a has the credential c. */
    private static Reply registry(TestServer.Seen request, Reply rotated) {
        if (request.path().equals("/api/v1/token")) {
            return token();
        }
        return request.path().endsWith("/rotate")
                ? rotated
                : Reply.json(200, "{\"data\":[" + CREDENTIAL + "],\"total\":1,\"page\":1,\"limit\":100}");
    }

    @Test
    void aLostSecretChangesNothing() {
        Reply replay =
                Reply.json(409, "{\"code\":\"INVALID_STATE\",\"message\":\"m\",\"details\":{\"credentialId\":\"c\"}}");
        try (TestServer idp = new TestServer(request -> registry(request, replay))) {
            Config config = Vectors.config(idp.url()).build();
            TokenSource tokens = new TokenSource(config);
            List<CredentialWithSecret> stored = new CopyOnWriteArrayList<>();
            CredentialRotation rotation = CredentialRotation.builder(new ManagementClient(config))
                    .switches(tokens)
                    .store(stored::add)
                    .build();
            SecretLostException lost = assertThrows(SecretLostException.class, rotation::rotate);
            assertEquals("c", lost.credentialId());
            assertInstanceOf(ApiException.class, lost.getCause());
            assertTrue(lost.getMessage().contains("stays good until"), lost.getMessage());
            assertEquals(
                    1,
                    idp.seen.stream()
                            .filter(one -> one.path().endsWith("/rotate"))
                            .count());
            assertTrue(stored.isEmpty());
            tokens.token();
            assertEquals(
                    1,
                    idp.seen.stream()
                            .filter(one -> one.path().equals("/api/v1/token"))
                            .map(one -> one.header("Authorization"))
                            .distinct()
                            .count());
        }
    }

    /** The answer has the only copy of the secret. */
    @Test
    void whoStopsWaitingForARotationLosesNoSecret() throws Exception {
        CountDownLatch asked = new CountDownLatch(1);
        CountDownLatch answer = new CountDownLatch(1);
        try (TestServer idp = new TestServer(request -> {
            if (request.path().endsWith("/rotate")) {
                asked.countDown();
                TestServer.hold(answer);
            }
            return registry(request, Reply.json(200, CREDENTIAL));
        })) {
            CompletableFuture<CredentialWithSecret> stored = new CompletableFuture<>();
            AtomicReference<CompletableFuture<CredentialRotation.Result>> waits = new AtomicReference<>();
            waits.set(CredentialRotation.builder(
                            new ManagementClient(Vectors.config(idp.url()).build()))
                    .store(stored::complete)
                    .build()
                    .rotateAsync());
            asked.await();
            assertTrue(waits.get().cancel(true));
            answer.countDown();
            assertEquals("aidp_sk_2", stored.get(60, TimeUnit.SECONDS).clientSecret());
            assertFalse(waits.get().isDone() && !waits.get().isCancelled());
        }
    }
}
