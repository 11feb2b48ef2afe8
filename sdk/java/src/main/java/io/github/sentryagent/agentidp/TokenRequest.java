package io.github.sentryagent.agentidp;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Asks for a token by the client credentials grant (RFC 6749 section 4.4). */
final class TokenRequest {
    private static final int MAX_ANSWER = 64 << 10;
    private static final long MAX_LIFETIME = 86_400;
    private static final Duration DEADLINE = Duration.ofSeconds(10);

    private final Config config;
    private final Transport transport;

    TokenRequest(Config config) {
        this.config = config;
        this.transport = new Transport(config.httpClient());
    }

    /**
     * Asks, and again after a pause when the IdP is away, overloaded or limits the rate: no answer, no token, so asking
     * twice does no harm.
     */
    CompletableFuture<AccessToken> send(ClientAuthentication authentication) {
        return config.retry.run(
                () -> once(authentication),
                failure -> failure instanceof ApiException refused
                        ? refused.temporary()
                        : failure instanceof TransportException);
    }

    private CompletableFuture<AccessToken> once(ClientAuthentication authentication) {
        Instant asked = config.clock.instant();
        Map<String, String> form = new LinkedHashMap<>();
        form.put("grant_type", "client_credentials");
        if (!config.scopes().isEmpty()) {
            form.put("scope", String.join(" ", config.scopes()));
        }
        URI address = URI.create(config.url() + "/api/v1/token");
        HttpRequest.Builder request = Transport.http1OverPlain(HttpRequest.newBuilder(address), address.getScheme())
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Accept", "application/json");
        authentication.apply(config.clientId().orElseThrow(), config.url(), asked, request, form);
        request.POST(HttpRequest.BodyPublishers.ofString(encode(form)));
        return transport.send(request.build(), MAX_ANSWER, DEADLINE).thenApply(answer -> read(answer, asked));
    }

    private String encode(Map<String, String> form) {
        Stream<String> parameters = form.entrySet().stream().map(e -> parameter(e.getKey(), e.getValue()));
        Stream<String> targets = config.resources().stream().map(resource -> parameter("resource", resource));
        return Stream.concat(parameters, targets).collect(Collectors.joining("&"));
    }

    static String parameter(String name, String value) {
        return name + "=" + URLEncoder.encode(value, StandardCharsets.UTF_8);
    }

    /** The answer of the token endpoint (RFC 6749 section 5.1). */
    record Wire(
            @JsonProperty("access_token") String accessToken,
            @JsonProperty("token_type") String tokenType,
            @JsonProperty("expires_in") Long expiresIn,
            @JsonProperty("scope") String scope) {}

    /** The lifetime counts from before the request was sent: the token is never thought younger than it is. */
    private static AccessToken read(Transport.Answer answer, Instant asked) {
        if (!answer.good()) {
            throw ApiException.of(answer);
        }
        if (!answer.whole()) {
            throw new InvalidAnswerException("the answer is larger than " + MAX_ANSWER + " bytes", null);
        }
        Wire wire = Json.read(answer.body(), Wire.class);
        if (wire.accessToken == null
                || wire.accessToken.isEmpty()
                || !"bearer".equalsIgnoreCase(wire.tokenType)
                || wire.expiresIn == null
                || wire.expiresIn <= 0) {
            throw new InvalidAnswerException("the answer lacks a bearer token with a lifetime", null);
        }
        Instant expiresAt = asked.plusSeconds(Math.min(wire.expiresIn, MAX_LIFETIME));
        return new AccessToken(wire.accessToken, expiresAt, wire.scope == null ? "" : wire.scope);
    }
}
