package io.github.sentryagent.agentidp;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * Calls until it succeeds, fails for good, or has failed four times. It pauses as long as a refusal asks for,
 * else longer every time, and gives up when a refusal asks for more than ten seconds.
 *
 * @param pause a future that is done after so long
 */
record Retry(Function<Duration, CompletableFuture<Void>> pause) {
    static final int ATTEMPTS = 4;
    static final Duration MAX_RETRY_AFTER = Duration.ofSeconds(10);
    private static final long FIRST_BACKOFF_MILLIS = 200;

    static Retry standard() {
        return new Retry(length -> CompletableFuture.runAsync(
                () -> {}, CompletableFuture.delayedExecutor(length.toMillis(), TimeUnit.MILLISECONDS)));
    }

    <T> CompletableFuture<T> run(Supplier<CompletableFuture<T>> once, Predicate<Throwable> again) {
        return attempt(1, once, again);
    }

    private <T> CompletableFuture<T> attempt(
            int number, Supplier<CompletableFuture<T>> once, Predicate<Throwable> again) {
        return once.get()
                .handle((result, failure) -> {
                    if (failure == null) {
                        return CompletableFuture.completedFuture(result);
                    }
                    Throwable cause = Futures.cause(failure);
                    if (number == ATTEMPTS || !again.test(cause) || asksForTooLong(cause)) {
                        return CompletableFuture.<T>failedFuture(cause);
                    }
                    return pause.apply(pauseAfter(number, cause))
                            .thenCompose(ignored -> attempt(number + 1, once, again));
                })
                .thenCompose(Function.identity());
    }

    private static boolean asksForTooLong(Throwable cause) {
        return cause instanceof ApiException refused && refused.retryAfter().compareTo(MAX_RETRY_AFTER) > 0;
    }

    private static Duration pauseAfter(int number, Throwable cause) {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        if (cause instanceof ApiException refused && !refused.retryAfter().isZero()) {
            return refused.retryAfter().plusMillis(random.nextLong(FIRST_BACKOFF_MILLIS));
        }
        long half = (FIRST_BACKOFF_MILLIS << number - 1) / 2;
        return Duration.ofMillis(half + random.nextLong(half));
    }
}
