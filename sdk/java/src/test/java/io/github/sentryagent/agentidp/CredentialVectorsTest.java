package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jwt.SignedJWT;
import io.github.sentryagent.agentidp.TestServer.Reply;
import io.github.sentryagent.agentidp.TestServer.Seen;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** What proves who asks. */
class CredentialVectorsTest {
    @TestFactory
    Stream<DynamicTest> credentials(@TempDir Path folder) {
        return Vectors.each(Vectors.read("credentials.json").get("cases"), one -> {
            Path own = folder.resolve(one.get("name").asText().replaceAll("[^a-z]", "-"));
            Map<String, String> env = new HashMap<>();
            try {
                Files.createDirectories(own);
                for (Map.Entry<String, JsonNode> file : one.path("files").properties()) {
                    String content = file.getValue().asText();
                    Files.writeString(
                            own.resolve(file.getKey()),
                            content.startsWith("@") ? Vectors.privateKey(content.substring(1)) : content);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            one.get("env").properties().forEach(variable -> {
                String value = variable.getValue().asText();
                env.put(
                        variable.getKey(),
                        variable.getKey().endsWith("_FILE") ? own.resolve(value).toString() : value);
            });
            if (one.has("problem")) {
                ConfigurationException problem = assertThrows(
                        ConfigurationException.class,
                        () -> Config.builder().environment(env).build());
                one.get("problem")
                        .forEach(
                                part -> assertTrue(problem.getMessage().contains(part.asText()), problem.getMessage()));
                assertFalse(problem.getMessage().contains("aidp_sk_1"), problem.getMessage());
                return;
            }
            JsonNode want = one.get("expect");
            Config got = Config.builder().environment(env).build();
            assertEquals(want.get("url").asText(), got.url());
            assertEquals(want.get("clientId").asText(), got.clientId().orElseThrow());
            assertFalse(got.toString().contains("aidp_sk_1"));
            if (want.has("clientSecret")) {
                assertEquals(
                        new ClientAuthentication.Secret(want.get("clientSecret").asText()),
                        got.authentication().orElseThrow());
                return;
            }
            AssertionKey key =
                    ((ClientAuthentication.PrivateKey) got.authentication().orElseThrow()).key();
            assertEquals(want.get("algorithm").asText(), key.algorithm().getName());
            assertEquals(want.get("keyId").asText(), key.keyId());
        });
    }

    @TestFactory
    Stream<DynamicTest> clientAssertion() {
        JsonNode vectors = Vectors.read("client-assertion.json");
        Instant now = Instant.ofEpochSecond(vectors.get("now").asLong());
        return Vectors.each(vectors.get("cases"), one -> {
            try (TestServer idp = new TestServer(request -> Reply.token("t", 3600))) {
                String pem = Vectors.privateKey(one.get("key").asText());
                ConfigBuilder config = Config.builder()
                        .url(one.get("url").asText())
                        .clientId(one.get("clientId").asText())
                        .privateKey(pem)
                        .httpClient(new Elsewhere(idp))
                        .clock(() -> now);
                if (!one.get("keyId").isNull()) {
                    config.keyId(one.get("keyId").asText());
                }
                TokenSource source = new TokenSource(config.build());
                source.forget(source.token());
                source.token();
                String first = assertion(idp.seen.get(0), vectors, one, pem);
                assertNotEquals(first, assertion(idp.seen.get(1), vectors, one, pem));
            }
        });
    }

    @Test
    void refusedKeys() {
        for (JsonNode name : Vectors.read("client-assertion.json").get("refusedKeys")) {
            ConfigBuilder config = Config.builder()
                    .url("https://idp.example.com")
                    .clientId("aidp_c_1")
                    .privateKey(Vectors.privateKey(name.asText()));
            assertThrows(ConfigurationException.class, config::build);
        }
    }

    /** Returns the jti. */
    private static String assertion(Seen request, JsonNode vectors, JsonNode one, String pem) {
        Map<String, String> form = Arrays.stream(request.body().split("&"))
                .map(pair -> pair.split("=", 2))
                .collect(Collectors.toMap(pair -> pair[0], pair -> URLDecoder.decode(pair[1], StandardCharsets.UTF_8)));
        assertEquals(vectors.get("assertionType").asText(), form.get("client_assertion_type"));
        assertFalse(form.containsKey("client_id"));
        assertEquals("", request.header("Authorization"));
        try {
            SignedJWT jwt = SignedJWT.parse(form.get("client_assertion"));
            assertTrue(jwt.verify(verifier(pem)));
            ObjectMapper mapper = new ObjectMapper();
            assertEquals(one.get("header"), mapper.readTree(jwt.getHeader().toString()));
            Map<String, Object> claims = new HashMap<>(jwt.getPayload().toJSONObject());
            String jti = (String) claims.remove("jti");
            assertTrue(jti.length() >= 16 && jti.length() <= 128, jti);
            assertEquals(one.get("claims"), mapper.readTree(mapper.writeValueAsString(claims)));
            return jti;
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private static JWSVerifier verifier(String pem) throws Exception {
        byte[] der = Base64.getMimeDecoder()
                .decode(pem.strip()
                        .replace("-----BEGIN PRIVATE KEY-----", "")
                        .replace("-----END PRIVATE KEY-----", ""));
        PKCS8EncodedKeySpec spec = new PKCS8EncodedKeySpec(der);
        try {
            RSAPrivateCrtKey key =
                    (RSAPrivateCrtKey) KeyFactory.getInstance("RSA").generatePrivate(spec);
            return new RSASSAVerifier((RSAPublicKey) KeyFactory.getInstance("RSA")
                    .generatePublic(new RSAPublicKeySpec(key.getModulus(), key.getPublicExponent())));
        } catch (java.security.spec.InvalidKeySpecException e) {
            ECPrivateKey key = (ECPrivateKey) KeyFactory.getInstance("EC").generatePrivate(spec);
            ECKey half = EcPublicHalf.of(key, der).orElseThrow();
            return new ECDSAVerifier(half.toECPublicKey());
        }
    }
}
