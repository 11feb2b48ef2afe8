package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSObject;
import com.nimbusds.jose.Payload;
import com.nimbusds.jose.crypto.RSASSASigner;
import com.nimbusds.jose.util.Base64URL;
import io.github.sentryagent.agentidp.TestServer.Reply;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.security.KeyFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** When lists are fetched, and who waits for it. */
class StatusListsTest {
    private static final String ISSUER = "https://idp.example.com";
    private static final Instant START = Instant.ofEpochSecond(1_793_606_400);
    private static final int TTL = 15;
    private static final Duration LONGEST_WAIT = Duration.ofMinutes(2); // longer than a machine may be busy
    private static final String KEY_A = kid("a");
    private static final String KEY_B = kid("b");

    private final AtomicReference<Instant> clock = new AtomicReference<>(START);
    private final AtomicReference<String> keySet = new AtomicReference<>("a");
    private final Semaphore asked = new Semaphore(0); // a release for each fetch of a list
    private volatile CountDownLatch hold = new CountDownLatch(0);
    private volatile Supplier<Reply> list = () -> null;
    private TestServer idp;
    private Keys keys;
    private StatusLists lists;

    private static String kid(String document) {
        for (JsonNode one : Vectors.read("jwks.json").get("documents")) {
            if (one.get("name").asText().equals(document)) {
                return one.get("usable").get(0).asText();
            }
        }
        throw new AssertionError(document);
    }

    @BeforeEach
    void start() {
        idp = new TestServer(request -> {
            if (!request.path().startsWith("/statuslists")) {
                return Reply.json(200, VerifierVectorsTest.DOCUMENTS.get(keySet.get()));
            }
            asked.release();
            TestServer.hold(hold);
            Reply said = list.get();
            return said != null ? said : signed(request.path(), "a", 0);
        });
        keys = new Keys(
                new Transport(new Elsewhere(idp)),
                java.net.URI.create(ISSUER + "/.well-known/jwks.json"),
                clock::get,
                LONGEST_WAIT);
        lists = new StatusLists(new Transport(new Elsewhere(idp)), keys, ISSUER, clock::get, LONGEST_WAIT);
    }

    @AfterEach
    void stop() {
        idp.close();
    }

    /** A list of eight tokens. */
    private Reply signed(String path, String key, int bits) {
        try {
            ByteArrayOutputStream packed = new ByteArrayOutputStream();
            try (DeflaterOutputStream out = new DeflaterOutputStream(packed)) {
                out.write(bits);
            }
            byte[] pem = Base64.getMimeDecoder()
                    .decode(Vectors.privateKey(key).strip().replaceAll("-----[A-Z ]+-----", ""));
            JWSObject jws = new JWSObject(
                    new JWSHeader.Builder(JWSAlgorithm.RS256)
                            .type(new JOSEObjectType("statuslist+jwt"))
                            .keyID(key.equals("a") ? KEY_A : KEY_B)
                            .build(),
                    new Payload(Map.of(
                            "sub",
                            ISSUER + path,
                            "exp",
                            clock.get().plusSeconds(900).getEpochSecond(),
                            "ttl",
                            TTL,
                            "status_list",
                            Map.of(
                                    "bits",
                                    1,
                                    "lst",
                                    Base64URL.encode(packed.toByteArray()).toString()))));
            jws.sign(new RSASSASigner(KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(pem))));
            return new Reply(200, Map.of(), jws.serialize());
        } catch (IOException | JOSEException | java.security.GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    private CompletableFuture<Void> check(int number) {
        return lists.check(
                "",
                VerifierVectorsTest.withStatus(
                        new VerifiedToken.StatusReference(ISSUER + "/statuslists/" + number, 0)));
    }

    private String verdict(int number) {
        return VerifierVectorsTest.verdict(
                lists,
                VerifierVectorsTest.withStatus(
                        new VerifiedToken.StatusReference(ISSUER + "/statuslists/" + number, 0)));
    }

    private void later(long seconds) {
        clock.set(clock.get().plusSeconds(seconds));
    }

    private void hang() {
        asked.drainPermits();
        hold = new CountDownLatch(1);
    }

    private void goOn() {
        hold.countDown();
        lists.settled().join();
    }

    private void answeredAtOnce(int number) {
        CompletableFuture<Void> check = check(number);
        assertTrue(check.isDone() && !check.isCompletedExceptionally(), "waits, or is refused");
    }

    @Test
    void aListIsKeptForItsTimeToLive() {
        assertEquals("accept", verdict(0));
        later(TTL - 1);
        answeredAtOnce(0);
        lists.settled().join();
        assertEquals(1, idp.count("/statuslists"));
    }

    @Test
    void anIdPThatHangsDelaysNobody() throws Exception {
        assertEquals("accept", verdict(0));
        later(TTL);
        hang();
        list = () -> signed("/statuslists/0", "a", 1);
        for (int i = 0; i < 20; i++) {
            answeredAtOnce(0);
        }
        asked.acquire();
        assertEquals(2, idp.count("/statuslists"), "one fetch at a time");
        goOn();
        assertEquals("token_revoked", verdict(0));
        assertEquals(2, idp.count("/statuslists"));
    }

    @Test
    void whatNobodyAskedForIsWaitedFor() throws Exception {
        assertEquals("accept", verdict(0));
        later(2 * TTL);
        hang();
        list = () -> signed("/statuslists/0", "a", 1);
        CompletableFuture<Void> waits = check(0);
        asked.acquire();
        assertFalse(waits.isDone());
        later(LONGEST_WAIT.toSeconds()); // the fetch is old enough to be passed by
        answeredAtOnce(0);
        goOn();
        assertEquals("token_revoked", verdict(0));
    }

    /** The older edition counts while the IdP is away, not because a caller does not wait. */
    @Test
    void whoDoesNotWaitLearnsNothing() throws Exception {
        assertEquals("accept", verdict(0));
        later(2 * TTL);
        hang();
        list = () -> signed("/statuslists/0", "a", 1);
        CompletableFuture<Void> cancelled = check(0);
        asked.acquire();
        assertTrue(cancelled.cancel(true));
        CompletableFuture<Void> late = check(0).orTimeout(1, TimeUnit.MILLISECONDS);
        assertTrue(
                assertThrows(ExecutionException.class, late::get).getCause() instanceof TimeoutException,
                "its own time limit");
        assertFalse(check(0).isDone(), "others wait on");
        goOn();
        assertEquals(2, idp.count("/statuslists"), "the fetch goes on");
        assertEquals("token_revoked", verdict(0));
    }

    @Test
    void aFailureOfLongAgoSaysNothing() {
        assertEquals("accept", verdict(0));
        list = () -> new Reply(503, Map.of(), "");
        later(TTL);
        answeredAtOnce(0);
        lists.settled().join();
        list = () -> signed("/statuslists/0", "a", 1);
        later(15);
        assertEquals("token_revoked", verdict(0), "perhaps it is back: it is waited for");
    }

    @Test
    void anIdPThatIsAwayIsOutlivedUntilTheListExpires() {
        assertEquals("accept", verdict(0));
        list = () -> new Reply(503, Map.of(), "");
        later(TTL);
        answeredAtOnce(0);
        lists.settled().join();
        answeredAtOnce(0);
        lists.settled().join();
        assertEquals(2, idp.count("/statuslists"), "failed fetches begin a second apart");
        later(14);
        answeredAtOnce(0);
        lists.settled().join();
        assertEquals(3, idp.count("/statuslists"));
        later(900);
        assertEquals("revocations_stale", verdict(0));
        assertEquals("revocations_stale", VerifierVectorsTest.verdict(lists, VerifierVectorsTest.withStatus(null)));
        list = () -> null;
        later(1);
        assertEquals("accept", verdict(0), "an expired list is waited for");
    }

    @Test
    void fewFetchesAtATimeAreMadeBehind() throws Exception {
        for (int i = 0; i < 9; i++) {
            assertEquals("accept", verdict(i));
        }
        later(TTL);
        hang();
        for (int i = 0; i < 9; i++) {
            answeredAtOnce(i);
        }
        asked.acquire(8);
        goOn();
        assertEquals(9 + 8, idp.count("/statuslists"));
        answeredAtOnce(8);
        lists.settled().join();
        assertEquals(9 + 9, idp.count("/statuslists"));
    }

    @Test
    void aListOfANewKeyBringsTheKey() throws Exception {
        Futures.await(keys.find(KEY_A));
        keySet.set("a and b");
        list = () -> signed("/statuslists/0", "b", 0);
        assertEquals("revocations_stale", verdict(0), "key sets are fetched ten seconds apart");
        assertEquals(1, idp.count("/.well-known"));
        later(10);
        assertEquals("accept", verdict(0));
        assertEquals(2, idp.count("/.well-known"));
        later(TTL);
        List.of(0, 0).forEach(number -> assertEquals("accept", verdict(number)));
        lists.settled().join();
        assertEquals(2, idp.count("/.well-known"));
    }
}
