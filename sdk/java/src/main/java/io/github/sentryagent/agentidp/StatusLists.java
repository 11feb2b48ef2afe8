package io.github.sentryagent.agentidp;

import java.net.URI;
import java.net.http.HttpRequest;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Looks tokens up in the issuer's Token Status Lists (draft-ietf-oauth-status-list), of which it keeps some. A list is
 * refreshed behind those who ask: only one that is missing, or that nobody asked for during two of its times to live, is
 * waited for. An IdP that is away, or hangs, delays nobody while an edition is held that has not expired.
 */
final class StatusLists implements RevocationCheck {
    private static final String TYPE = "statuslist+jwt";
    private static final int MAX_DOCUMENT = 512 << 10;
    private static final int MAX_KEPT = 64;
    private static final int MAX_BEHIND = 8;
    private static final Duration FETCH_LIMIT = Duration.ofSeconds(10);
    private static final Duration PAUSE_AFTER_FAILURE = Duration.ofSeconds(1);
    private static final Duration AWAY = Duration.ofSeconds(15); // that a failed fetch says

    private final Transport transport;
    private final Keys keys;
    private final String within;
    private final InstantSource clock;
    private final Duration longestWait;

    private final Object lock = new Object(); // guards all below, and what entries hold
    private int flights;
    private final Map<String, Entry> entries = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Entry> eldest) {
            return size() > MAX_KEPT;
        }
    };

    /** What is known of one list. */
    private static final class Entry {
        private StatusList edition; // null: none yet
        private Instant began; // the latest fetch; null: none yet
        private Throwable failure; // of the latest fetch that ended; null: it did not fail
        private Instant failed; // when it did
        private CompletableFuture<Void> flight; // done when it has landed, well or not; null: none

        /** Whether the edition answers without a wait for the flight. */
        boolean answers(Instant now, Duration longestWait) {
            return edition != null
                    && !edition.expired(now)
                    && (edition.firm(now)
                            || failure != null && now.isBefore(failed.plus(AWAY))
                            || flight != null && waited(now) >= longestWait.toMillis());
        }

        long waited(Instant now) {
            return Duration.between(began, now).toMillis();
        }
    }

    StatusLists(Transport transport, Keys keys, String issuer, InstantSource clock, Duration longestWait) {
        this.transport = transport;
        this.keys = keys;
        this.within = issuer + "/";
        this.clock = clock;
        this.longestWait = longestWait;
    }

    @Override
    public CompletableFuture<Void> check(String raw, VerifiedToken token) {
        VerifiedToken.StatusReference place = token.status().orElse(null);
        if (place == null || !place.uri().startsWith(within)) {
            return CompletableFuture.failedFuture(RevocationCheck.stale(null));
        }
        return edition(place.uri()).thenAccept(edition -> edition.judge(place.index()));
    }

    private CompletableFuture<StatusList> edition(String uri) {
        synchronized (lock) {
            Instant now = clock.instant();
            Entry entry = entries.computeIfAbsent(uri, ignored -> new Entry());
            if (entry.edition != null && entry.edition.fresh(now)) {
                return CompletableFuture.completedFuture(entry.edition);
            }
            boolean behind = entry.answers(now, longestWait);
            if (due(entry, now) && (!behind || flights < MAX_BEHIND)) {
                begin(uri, entry, now);
            }
            if (behind || entry.flight == null) {
                return held(entry, now);
            }
            long left = Math.max(longestWait.toMillis() - entry.waited(now), 0);
            return entry.flight
                    .copy()
                    .completeOnTimeout(null, left, TimeUnit.MILLISECONDS)
                    .thenComposeAsync(ignored -> heldNow(entry));
        }
    }

    private static boolean due(Entry entry, Instant now) {
        return entry.flight == null && (entry.failure == null || !now.isBefore(entry.failed.plus(PAUSE_AFTER_FAILURE)));
    }

    private CompletableFuture<StatusList> heldNow(Entry entry) {
        synchronized (lock) {
            return held(entry, clock.instant());
        }
    }

    /** The edition at hand, if it is still good. The lock is held. */
    private static CompletableFuture<StatusList> held(Entry entry, Instant now) {
        return entry.edition != null && !entry.edition.expired(now)
                ? CompletableFuture.completedFuture(entry.edition)
                : CompletableFuture.failedFuture(RevocationCheck.stale(entry.failure));
    }

    /** The lock is held. */
    private void begin(String uri, Entry entry, Instant now) {
        flights++;
        entry.began = now;
        CompletableFuture<Void> landed = new CompletableFuture<>();
        entry.flight = landed;
        fetch(uri, now).whenCompleteAsync((fresh, failure) -> {
            synchronized (lock) {
                flights--;
                entry.flight = null;
                if (failure == null) {
                    entry.edition = fresh;
                    entry.failure = null;
                } else {
                    entry.failure = Futures.cause(failure);
                    entry.failed = clock.instant();
                }
            }
            landed.complete(null);
        });
    }

    private CompletableFuture<StatusList> fetch(String uri, Instant now) {
        HttpRequest request;
        try {
            URI address = URI.create(uri);
            request = Transport.http1OverPlain(HttpRequest.newBuilder(address), address.getScheme())
                    .header("Accept", "application/" + TYPE)
                    .build();
        } catch (IllegalArgumentException e) {
            return CompletableFuture.failedFuture(e);
        }
        return transport.send(request, MAX_DOCUMENT, FETCH_LIMIT).thenCompose(answer -> read(answer, uri, now));
    }

    /** One that is signed by an unknown key asks for the key set, as a token does. */
    private CompletableFuture<StatusList> read(Transport.Answer answer, String uri, Instant now) {
        if (answer.status() != 200 || !answer.whole()) {
            throw new InvalidAnswerException("no status list: status " + answer.status(), null);
        }
        String raw = new String(answer.body(), StandardCharsets.ISO_8859_1).strip();
        CompactJws jws = CompactJws.parse(raw, TYPE, MAX_DOCUMENT);
        return keys.find(jws.kid()).thenApply(key -> {
            if (!jws.signedBy(key)) {
                throw new TokenRefusedException(RefusalReason.SIGNATURE);
            }
            return StatusList.of(jws.claims(), uri, now);
        });
    }

    /** Done when the fetches under way have ended; for tests. */
    CompletableFuture<Void> settled() {
        synchronized (lock) {
            return CompletableFuture.allOf(entries.values().stream()
                    .filter(entry -> entry.flight != null)
                    .map(entry -> entry.flight)
                    .toArray(CompletableFuture[]::new));
        }
    }
}
