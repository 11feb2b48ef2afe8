package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jose.jwk.gen.RSAKeyGenerator;
import io.github.sentryagent.agentidp.model.Agent;
import io.github.sentryagent.agentidp.model.AuthMethod;
import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** What an agent and the API that it calls do. */
class CallsTest extends OnStage {
    @Test
    void callsAnApiBehindTheSidecar() throws Exception {
        Registered agent = register("notes:read");
        HttpClient client = new AuthorizedHttpClient(new TokenSource(agent.config()));
        HttpResponse<String> answer = notes(client);
        assertEquals(200, answer.statusCode(), answer.body());
        assertTrue(answer.body().contains(agent.agentId()));
        HttpRequest write = HttpRequest.newBuilder(URI.create(stage.sidecar() + "/notes"))
                .POST(BodyPublishers.ofString("{\"text\":\"hello\"}"))
                .build();
        HttpResponse<String> refused =
                client.sendAsync(write, BodyHandlers.ofString()).join();
        assertEquals(403, refused.statusCode());
        assertEquals(
                "capability_missing",
                refused.headers().firstValue("X-AgentIdP-Error").orElse(""));
        ApiException scope = assertThrows(
                ApiException.class, () -> new TokenSource(agent.config().withScopes("notes:drop")).token());
        assertEquals(OAuthErrorCode.INVALID_SCOPE, scope.code());
        assertFalse(scope.requestId().isEmpty());
    }

    @Test
    void provesItselfWithAKey() throws Exception {
        RSAKey key = new RSAKeyGenerator(2048).keyID("java").generate();
        Agent agent = admin.agents()
                .create(newAgent("notes:read")
                        .jwks(new JWKSet(key.toPublicJWK()).toJSONObject())
                        .build());
        CredentialWithSecret credential = admin.credentials().create(agent.agentId(), AuthMethod.PRIVATE_KEY_JWT, null);
        assertNull(credential.clientSecret());
        String pem = "-----BEGIN PRIVATE KEY-----\n"
                + Base64.getMimeEncoder().encodeToString(key.toPrivateKey().getEncoded())
                + "\n-----END PRIVATE KEY-----\n";
        Config config = Config.builder()
                .url(stage.idp())
                .clientId(credential.clientId())
                .privateKey(pem)
                .keyId("java")
                .resources(stage.resource())
                .build();
        TokenSource tokens = new TokenSource(config);
        tokens.forget(tokens.token());
        assertEquals(200, notes(new AuthorizedHttpClient(tokens)).statusCode());
    }

    @Test
    void rotatesWithoutAFailedCall() throws Exception {
        Registered agent = register("notes:read");
        TokenSource tokens = new TokenSource(agent.config());
        ManagementClient own = new ManagementClient(agent.config());
        List<CredentialWithSecret> stored = new ArrayList<>();
        AtomicBoolean done = new AtomicBoolean();
        CompletableFuture<Integer> calls = CompletableFuture.supplyAsync(() -> {
            int count = 0;
            for (boolean last = false; !last; count++) {
                last = done.get(); // one more after the rotation
                tokens.forget(tokens.token());
            }
            return count;
        });
        CredentialRotation.Result result = CredentialRotation.builder(own)
                .switches(tokens)
                .overlap(Duration.ofMinutes(10))
                .store(stored::add)
                .build()
                .rotate();
        done.set(true);
        assertTrue(calls.get(60, TimeUnit.SECONDS) > 0);
        assertNull(result.notStored());
        assertEquals(List.of(result.credential()), stored);
        assertFalse(result.credential().clientSecret().equals(agent.credential().clientSecret()));
        new TokenSource(agent.config()).token(); // the old secret, within the overlap

        CredentialRotation.Result lost = CredentialRotation.builder(own)
                .switches(tokens)
                .overlap(Duration.ZERO)
                .store(credential -> {
                    throw new IllegalStateException("the disk is full");
                })
                .build()
                .rotate();
        assertEquals("the disk is full", lost.notStored().getMessage());
        tokens.forget(tokens.token());
        tokens.token();
        TokenSource old = new TokenSource(agent.config());
        assertThrows(ApiException.class, old::token);
    }

    @Test
    void aRotationWhoseAnswerIsLostChangesNothing() {
        Registered agent = register("notes:read");
        AtomicInteger sent = new AtomicInteger();
        HttpClient cuts = new Elsewhere(stage.idp(), request -> false) {
            @Override
            public <T> CompletableFuture<HttpResponse<T>> sendAsync(
                    HttpRequest request, HttpResponse.BodyHandler<T> handler) {
                CompletableFuture<HttpResponse<T>> answer = super.sendAsync(request, handler);
                return request.uri().getPath().endsWith("/rotate") && sent.getAndIncrement() == 0
                        ? answer.thenCompose(lost -> CompletableFuture.failedFuture(new IOException("cut off")))
                        : answer;
            }
        };
        Config config = Config.builder()
                .url(stage.idp())
                .clientId(agent.credential().clientId())
                .clientSecret(agent.credential().clientSecret())
                .httpClient(cuts)
                .build();
        Instant before = Instant.now();
        CredentialRotation rotation = CredentialRotation.builder(new ManagementClient(config))
                .overlap(Duration.ofMinutes(10))
                .build();
        SecretLostException lost = assertThrows(SecretLostException.class, rotation::rotate);
        assertEquals(2, sent.get());
        assertEquals(agent.credential().credentialId(), lost.credentialId());
        assertFalse(lost.goodUntil().isBefore(before.plus(Duration.ofMinutes(10))));
        new TokenSource(agent.config()).token(); // the old secret
        CredentialWithSecret again = CredentialRotation.builder(new ManagementClient(agent.config()))
                .build()
                .rotate()
                .credential();
        assertFalse(again.clientSecret().equals(agent.credential().clientSecret()));
    }

    @Test
    void aSuspendedAgentIsOut() throws Exception {
        Registered agent = register("notes:read");
        TokenSource tokens = new TokenSource(agent.config());
        HttpClient client = new AuthorizedHttpClient(tokens);
        String token = tokens.token().value();
        Verifier lists = verifier().checkStatusLists().build();
        Verifier asks = verifier().introspect(admin).build();
        assertEquals(agent.agentId(), lists.verify(token).subject());
        assertEquals(agent.agentId(), asks.verify(token).subject());
        assertEquals(
                RefusalReason.AUDIENCE_MISMATCH,
                assertThrows(TokenRefusedException.class, () -> verifier()
                                .audience("https://other.example.com")
                                .build()
                                .verify(token))
                        .reason());

        admin.agents().suspend(agent.agentId(), "incident");
        assertEquals(
                RefusalReason.TOKEN_REVOKED,
                assertThrows(TokenRefusedException.class, () -> asks.verify(token))
                        .reason());
        Stage.eventually("the status list names the token", () -> {
            try {
                verifier().checkStatusLists().build().verify(token); // which keeps no list yet
                return false;
            } catch (TokenRefusedException e) {
                return e.reason() == RefusalReason.TOKEN_REVOKED;
            }
        });
        Stage.eventually("the sidecar refuses", () -> {
            try {
                return notes(client).statusCode() == 401;
            } catch (ApiException e) {
                return true; // the token was forgotten, and there is no other
            }
        });
        tokens.forget(new AccessToken(token, Instant.MAX, ""));
        ApiException refused = assertThrows(ApiException.class, tokens::token);
        assertEquals(OAuthErrorCode.UNAUTHORIZED_CLIENT, refused.code());
        assertFalse(refused.temporary());

        admin.agents().reactivate(agent.agentId(), null);
        Stage.eventually("the agent works again", () -> notes(client).statusCode() == 200);
    }

    @Test
    void outlivesARestartOfTheIdP() throws Exception {
        Registered agent = register("notes:read");
        TokenSource tokens = new TokenSource(agent.config());
        HttpClient client = new AuthorizedHttpClient(tokens);
        Verifier verifier = verifier().build();
        AccessToken token = tokens.token();
        verifier.verify(token.value());
        TokenSource without = new TokenSource(agent.config());
        stage.tell("stop-idp");
        try {
            assertEquals(token, tokens.token());
            assertEquals(200, notes(client).statusCode());
            verifier.verify(token.value());
            assertThrows(TransportException.class, without::token);
            assertThrows(TransportException.class, () -> admin.agents().get(agent.agentId()));
            VerificationUnavailableException unknown = assertThrows(
                    VerificationUnavailableException.class,
                    () -> verifier().build().verify(token.value()));
            assertEquals("keys_stale", unknown.reason());
        } finally {
            stage.tell("start-idp");
            Stage.untilWell(admin);
        }
        without.token();
        assertEquals(agent.agentId(), admin.agents().get(agent.agentId()).agentId());
    }

    @Test
    void verifiesAfterAKeyRotation() throws InterruptedException {
        Registered agent = register("notes:read");
        TokenSource tokens = new TokenSource(agent.config());
        AtomicReference<Duration> ahead = new AtomicReference<>(Duration.ZERO);
        Verifier verifier =
                verifier().clock(() -> Instant.now().plus(ahead.get())).build();
        AccessToken before = tokens.token();
        String kid = verifier.verify(before.value()).kid();
        // The next key was published and may be known already: two emergencies bring one that is not.
        admin.keys().rotateInEmergency("incident");
        admin.keys().rotateInEmergency("incident");
        tokens.forget(before);
        ahead.set(Duration.ofSeconds(11)); // past the cool-down
        VerifiedToken after = verifier.verify(tokens.token().value());
        assertFalse(kid.equals(after.kid()));
        TokenRefusedException gone = assertThrows(TokenRefusedException.class, () -> verifier.verify(before.value()));
        assertEquals(RefusalReason.UNKNOWN_KEY, gone.reason());
        HttpClient client = new AuthorizedHttpClient(tokens);
        Stage.eventually("the sidecar knows the key", () -> notes(client).statusCode() == 200);
    }
}
