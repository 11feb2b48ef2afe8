package io.github.sentryagent.agentidp;

import com.nimbusds.jose.JWSVerifier;
import java.net.URI;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * The issuer's key set, fetched when it is needed and kept current. A fetch that fails, or brings nothing usable,
 * changes nothing. However many ask, fetches begin at least ten seconds apart.
 */
final class Keys {
    private static final Duration TTL = Duration.ofMinutes(5);
    private static final Duration COOLDOWN = Duration.ofSeconds(10);
    private static final Duration MAX_STALE = Duration.ofHours(24);
    private static final Duration FETCH_LIMIT = Duration.ofSeconds(10);
    private static final int MAX_UNKNOWN = 128;
    private static final Pattern TAG = Pattern.compile("(W/)?\"[!#-~]{0,256}\""); // RFC 9110 section 8.8.3

    private final Transport transport;
    private final URI address;
    private final InstantSource clock;
    private final Duration longestWait;

    private final Object lock = new Object(); // guards all below
    private Edition edition = Edition.NONE;
    private Instant confirmed;
    private Instant refreshAt;
    private Instant tried;
    private CompletableFuture<Boolean> flight; // whether the issuer gave a set
    private final Map<String, Instant> unknown = new LinkedHashMap<>(); // kid, until when; oldest first

    Keys(Transport transport, URI address, InstantSource clock, Duration longestWait) {
        this.transport = transport;
        this.address = address;
        this.clock = clock;
        this.longestWait = longestWait;
    }

    /** Fails with unknown_key, or keys_stale when no set may be trusted. */
    CompletableFuture<JWSVerifier> find(String kid) {
        CompletableFuture<Boolean> wait;
        synchronized (lock) {
            Instant now = clock.instant();
            if (stale(now)) {
                CompletableFuture<Boolean> fetch = fetch(now);
                if (fetch == null) {
                    return CompletableFuture.failedFuture(keysStale());
                }
                return fetch.copy().thenApply(ignored -> afterStale(kid));
            }
            if (!now.isBefore(refreshAt)) {
                fetch(now); // behind this verification
            }
            JWSVerifier key = edition.set.find(kid);
            if (key != null) {
                return CompletableFuture.completedFuture(key);
            }
            wait = remembered(kid, now) ? null : fetch(now);
        }
        if (wait == null) {
            return CompletableFuture.failedFuture(new TokenRefusedException(RefusalReason.UNKNOWN_KEY));
        }
        return wait.copy()
                .orTimeout(longestWait.toMillis(), TimeUnit.MILLISECONDS)
                .handleAsync((good, late) -> afterUnknown(kid, Boolean.TRUE.equals(good)));
    }

    private JWSVerifier afterStale(String kid) {
        synchronized (lock) {
            if (stale(clock.instant())) {
                throw keysStale();
            }
            return required(kid);
        }
    }

    private JWSVerifier afterUnknown(String kid, boolean good) {
        synchronized (lock) {
            if (good && edition.set.find(kid) == null) {
                remember(kid, clock.instant().plus(TTL));
            }
            return required(kid);
        }
    }

    private JWSVerifier required(String kid) {
        JWSVerifier key = edition.set.find(kid);
        if (key == null) {
            throw new TokenRefusedException(RefusalReason.UNKNOWN_KEY);
        }
        return key;
    }

    private static VerificationUnavailableException keysStale() {
        return new VerificationUnavailableException("keys_stale", null);
    }

    private boolean stale(Instant now) {
        return edition.set == null || Duration.between(confirmed, now).compareTo(MAX_STALE) > 0;
    }

    /** The fetch under way, or a new one; null while that would be too soon. The lock is held. */
    private CompletableFuture<Boolean> fetch(Instant now) {
        if (flight != null) {
            return flight;
        }
        if (tried != null && Duration.between(tried, now).compareTo(COOLDOWN) < 0) {
            return null;
        }
        tried = now;
        CompletableFuture<Boolean> landed = new CompletableFuture<>();
        flight = landed;
        HttpRequest.Builder request = Transport.http1OverPlain(HttpRequest.newBuilder(address), address.getScheme())
                .header("Accept", "application/jwk-set+json, application/json");
        Edition held = edition;
        if (!held.tag.isEmpty()) {
            request.header("If-None-Match", held.tag);
        }
        transport
                .send(request.build(), KeySet.MAX_DOCUMENT, FETCH_LIMIT)
                .thenApply(answer -> read(answer, held))
                .whenCompleteAsync((fresh, failure) -> land(landed, fresh));
        return landed;
    }

    /**
     * A set.
     *
     * @param set null: none yet
     * @param tag its ETag; empty: it has none
     */
    private record Edition(KeySet set, String tag) {
        private static final Edition NONE = new Edition(null, "");
    }

    /** 304 confirms the set at hand, whose ETag was sent (RFC 9110 section 13.1.2). */
    private static Edition read(Transport.Answer answer, Edition held) {
        if (answer.status() == 304 && !held.tag.isEmpty()) {
            return held;
        }
        if (answer.status() != 200 || !answer.whole()) {
            throw new InvalidAnswerException("no key set", null);
        }
        try {
            String tag = answer.header("ETag");
            return new Edition(KeySet.parse(answer.body()), TAG.matcher(tag).matches() ? tag : "");
        } catch (StrictJson.Malformed e) {
            throw new InvalidAnswerException("no key set: " + e.getMessage(), null);
        }
    }

    private void land(CompletableFuture<Boolean> landed, Edition fresh) {
        synchronized (lock) {
            flight = null;
            if (fresh != null) {
                edition = fresh;
                confirmed = clock.instant();
                double share = 0.9 + 0.2 * ThreadLocalRandom.current().nextDouble();
                refreshAt = confirmed.plusMillis((long) (TTL.toMillis() * share));
            }
        }
        landed.complete(fresh != null);
    }

    /** Done when the fetch under way has ended, if there is one; for tests. */
    CompletableFuture<Void> settled() {
        synchronized (lock) {
            return flight == null ? CompletableFuture.completedFuture(null) : flight.thenAccept(good -> {});
        }
    }

    private boolean remembered(String kid, Instant now) {
        Instant until = unknown.get(kid);
        return until != null && now.isBefore(until);
    }

    private void remember(String kid, Instant until) {
        unknown.remove(kid);
        if (unknown.size() == MAX_UNKNOWN) {
            Iterator<String> oldest = unknown.keySet().iterator();
            oldest.next();
            oldest.remove();
        }
        unknown.put(kid, until);
    }
}
