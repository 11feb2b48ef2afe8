package io.github.sentryagent.agentidp;

import java.net.URI;
import java.net.http.HttpClient;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * Verifies access tokens (RFC 9068) as the sidecar does, for an API without one. Keys are fetched when the first token
 * comes and kept current. Safe for any number of threads; keep one for each API.
 *
 * <pre>{@code
 * Verifier verifier = Verifier.builder()
 *         .issuer("https://idp.example.com")
 *         .audience("https://notes.example.com")
 *         .build();
 * VerifiedToken token = verifier.verify(bearer);
 * }</pre>
 */
public final class Verifier {
    private static final String TYPE = "at+jwt";
    private static final Duration LEEWAY = Duration.ofSeconds(5);
    private static final Duration MAX_LIFETIME = Duration.ofHours(1);
    private static final Duration LONGEST_WAIT = Duration.ofSeconds(3);
    private static final Duration INTROSPECTION_LIMIT = Duration.ofSeconds(2);

    private final String issuer;
    private final String audience;
    private final InstantSource clock;
    final Keys keys;
    private final RevocationCheck revocations;

    private Verifier(Builder builder) {
        this.issuer = builder.issuer;
        this.audience = builder.audience;
        this.clock = builder.clock;
        Transport transport = new Transport(builder.httpClient);
        this.keys = new Keys(transport, builder.address, clock, builder.longestWait);
        this.revocations = builder.revocations.apply(new Sources(transport, keys, issuer, clock, builder.longestWait));
    }

    /** What a revocation check may need. */
    private record Sources(Transport transport, Keys keys, String issuer, InstantSource clock, Duration longestWait) {}

    /**
     * Begins a verifier.
     *
     * @return without anything set
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Verifies one token. Nothing of it is kept.
     *
     * @param token as it stands behind {@code Bearer}
     * @return what it says
     * @throws TokenRefusedException when it is not good: answer 401
     * @throws VerificationUnavailableException when that cannot be told now: answer 503
     */
    public VerifiedToken verify(String token) {
        try {
            return Futures.await(verifyAsync(token));
        } catch (TransportException e) { // the caller's interrupt: the IdP's own failures are judged before
            throw new VerificationUnavailableException("interrupted", e);
        }
    }

    /**
     * Verifies one token.
     *
     * @param token as it stands behind {@code Bearer}
     * @return fails as {@link #verify} throws
     */
    public CompletableFuture<VerifiedToken> verifyAsync(String token) {
        CompactJws jws;
        Claims.Read claims;
        try {
            jws = CompactJws.parse(token, TYPE, CompactJws.MAX_TOKEN);
            claims = Claims.read(jws.claims(), jws.kid());
        } catch (TokenRefusedException e) {
            return CompletableFuture.failedFuture(e);
        }
        return keys.find(jws.kid())
                .thenApply(key -> {
                    if (!jws.signedBy(key)) {
                        throw new TokenRefusedException(RefusalReason.SIGNATURE);
                    }
                    judge(claims);
                    return claims.token();
                })
                .thenCompose(good -> revocations.check(token, good).thenApply(ignored -> good));
    }

    private void judge(Claims.Read claims) {
        VerifiedToken token = claims.token();
        Instant now = clock.instant();
        if (!token.issuer().equals(issuer)) {
            throw new TokenRefusedException(RefusalReason.ISSUER_MISMATCH);
        }
        if (!token.audience().contains(audience)) {
            throw new TokenRefusedException(RefusalReason.AUDIENCE_MISMATCH);
        }
        if (!now.isBefore(token.expiresAt().plus(LEEWAY))) {
            throw new TokenRefusedException(RefusalReason.EXPIRED);
        }
        Instant latest = now.plus(LEEWAY);
        if (latest.isBefore(token.issuedAt()) || claims.notBefore() != null && latest.isBefore(claims.notBefore())) {
            throw new TokenRefusedException(RefusalReason.NOT_YET_VALID);
        }
        Duration life = Duration.between(token.issuedAt(), token.expiresAt());
        if (life.isNegative() || life.isZero() || life.compareTo(MAX_LIFETIME) > 0) {
            throw new TokenRefusedException(RefusalReason.LIFETIME);
        }
    }

    /** Collects what a verifier needs. */
    public static final class Builder {
        private String issuer = "";
        private String audience = "";
        private String jwksUrl;
        private URI address;
        private HttpClient httpClient;
        private InstantSource clock = InstantSource.system();
        private Duration longestWait = LONGEST_WAIT;
        private Function<Sources, RevocationCheck> revocations = ignored -> RevocationCheck.NONE;

        private Builder() {}

        /**
         * Whose tokens.
         *
         * @param url the IdP's, compared byte for byte
         * @return this
         */
        public Builder issuer(String url) {
            this.issuer = url;
            return this;
        }

        /**
         * For which API.
         *
         * @param uri as agents name it in {@code resource}, compared byte for byte
         * @return this
         */
        public Builder audience(String uri) {
            this.audience = uri;
            return this;
        }

        /**
         * Where the keys are.
         *
         * @param url without one, {@code /.well-known/jwks.json} of the issuer
         * @return this
         */
        public Builder jwksUrl(String url) {
            this.jwksUrl = url;
            return this;
        }

        /**
         * What speaks HTTP with the IdP.
         *
         * @param client must not follow redirects
         * @return this
         */
        public Builder httpClient(HttpClient client) {
            this.httpClient = client;
            return this;
        }

        /**
         * Looks every token up in the issuer's status list, which is fetched once in a quarter of a minute, behind those who
         * ask. While the IdP is away the last list counts until it expires, a quarter of an hour after it was signed.
         *
         * @return this
         */
        public Builder checkStatusLists() {
            this.revocations = s -> new StatusLists(s.transport, s.keys, s.issuer, s.clock, s.longestWait);
            return this;
        }

        /**
         * Asks the IdP about every token; nothing is cached. Without an answer in two seconds, all attempts together, it
         * cannot be told whether the token is good.
         *
         * @param client whose agent holds {@code tokens:introspect}
         * @return this
         */
        public Builder introspect(ManagementClient client) {
            return introspect(client, INTROSPECTION_LIMIT);
        }

        /**
         * The same with another time limit.
         *
         * @param client whose agent holds {@code tokens:introspect}
         * @param limit for all attempts together, the token of the client included
         * @return this
         */
        public Builder introspect(ManagementClient client, Duration limit) {
            this.revocations = ignored -> RevocationCheck.introspection(client, limit);
            return this;
        }

        Builder clock(InstantSource source) {
            this.clock = source;
            return this;
        }

        /** Of a verification for a fetch that is under way. */
        Builder longestWait(Duration time) {
            this.longestWait = time;
            return this;
        }

        /**
         * Checks everything; calls nobody.
         *
         * @return the verifier
         * @throws ConfigurationException naming every problem
         */
        public Verifier build() {
            List<String> problems = new ArrayList<>();
            if (issuer.isEmpty()) {
                problems.add("the issuer is missing");
            }
            if (audience.isEmpty()) {
                problems.add("the audience is missing");
            }
            String keys = jwksUrl != null ? jwksUrl : Config.withoutSlash(issuer) + "/.well-known/jwks.json";
            address = Config.httpAddress(keys);
            if (address == null) {
                problems.add("the address of the keys must be an absolute http(s) URL");
            }
            if (httpClient != null && httpClient.followRedirects() != HttpClient.Redirect.NEVER) {
                problems.add("the HTTP client follows redirects");
            }
            if (!problems.isEmpty()) {
                throw new ConfigurationException(problems, null);
            }
            return new Verifier(this);
        }
    }
}
