package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import java.time.Instant;
import org.junit.jupiter.api.Test;

/** What a configuration is good for, and that it tells nobody. */
class ConfigTest {
    @Test
    void secretsAreNeverPrinted() {
        Config config = Vectors.config("https://idp.example.com/").build();
        assertFalse(config.toString().contains("aidp_sk_1"));
        assertFalse(config.authentication().orElseThrow().toString().contains("aidp_sk_1"));
        assertFalse(new AccessToken("t-1", Instant.EPOCH, "a").toString().contains("t-1"));
        CredentialWithSecret credential =
                new CredentialWithSecret("c", "i", "aidp_sk_1", "a", null, null, null, null, null, null, null);
        assertFalse(credential.toString().contains("aidp_sk_1"));
        assertFalse(new CredentialRotation.Result(credential, null).toString().contains("aidp_sk_1"));
        Config key = Config.builder()
                .url("https://idp.example.com")
                .clientId("i")
                .privateKey(Vectors.privateKey("client-ec"))
                .build();
        assertEquals("PrivateKey[…]", key.authentication().orElseThrow().toString());
        assertTrue(
                config.withScopes("a:b").withResources("https://r").toString().contains("a:b"));
    }

    @Test
    void withoutACredentialOnlyPublicCalls() {
        Config open = Config.builder()
                .url("http://127.0.0.1:1")
                .retry(Vectors.hasty())
                .build();
        assertThrows(ConfigurationException.class, () -> new TokenSource(open));
        ManagementClient client = new ManagementClient(open);
        assertThrows(ConfigurationException.class, () -> client.agents().get("a"));
        assertThrows(TransportException.class, client::health);
        assertNull(client.tokenSource());
        Config key = Config.builder()
                .url("https://idp.example.com")
                .clientId("i")
                .privateKey(Vectors.privateKey("client-ec"))
                .build();
        CredentialRotation rotation =
                CredentialRotation.builder(new ManagementClient(key)).build();
        assertThrows(ConfigurationException.class, rotation::rotate);
    }

    @Test
    void anEcKeyWithoutItsPublicHalfNeedsAName() throws Exception {
        var pair = java.security.KeyPairGenerator.getInstance("EC");
        pair.initialize(new java.security.spec.ECGenParameterSpec("secp256r1"));
        String pem = "-----BEGIN PRIVATE KEY-----\n"
                + java.util.Base64.getMimeEncoder()
                        .encodeToString(pair.generateKeyPair().getPrivate().getEncoded())
                + "\n-----END PRIVATE KEY-----\n";
        IllegalArgumentException nameless =
                assertThrows(IllegalArgumentException.class, () -> AssertionKey.parse(pem, null));
        assertTrue(nameless.getMessage().contains("AGENTIDP_KEY_ID"));
        assertEquals("k", AssertionKey.parse(pem, "k").keyId());
        assertThrows(
                IllegalArgumentException.class,
                () -> AssertionKey.parse("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "k"));
    }
}
