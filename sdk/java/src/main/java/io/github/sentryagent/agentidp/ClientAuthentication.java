package io.github.sentryagent.agentidp;

import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;

/** How a client proves itself at the token endpoint. */
sealed interface ClientAuthentication {
    /** Adds the proof to the head of the request or to its form. */
    void apply(String clientId, String issuer, Instant now, HttpRequest.Builder request, Map<String, String> form);

    /** A secret, sent by HTTP Basic. */
    record Secret(String secret) implements ClientAuthentication {
        @Override
        public void apply(
                String clientId, String issuer, Instant now, HttpRequest.Builder request, Map<String, String> form) {
            // RFC 6749 section 2.3.1: both parts are form-encoded first.
            String pair = encode(clientId) + ":" + encode(secret);
            String basic = Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.UTF_8));
            request.header("Authorization", "Basic " + basic);
        }

        private static String encode(String text) {
            return URLEncoder.encode(text, StandardCharsets.UTF_8);
        }

        @Override
        public String toString() {
            return "Secret[…]";
        }
    }

    /** A signed assertion, new for every request (RFC 7523 section 2.2). */
    record PrivateKey(AssertionKey key) implements ClientAuthentication {
        @Override
        public void apply(
                String clientId, String issuer, Instant now, HttpRequest.Builder request, Map<String, String> form) {
            form.put("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            form.put("client_assertion", key.assertion(clientId, issuer, now));
        }

        @Override
        public String toString() {
            return "PrivateKey[…]";
        }
    }
}
