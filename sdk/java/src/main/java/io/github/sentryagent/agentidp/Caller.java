package io.github.sentryagent.agentidp;

import com.fasterxml.jackson.databind.JavaType;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/** Makes the calls of the management API. */
final class Caller {
    private static final int MAX_ANSWER = 16 << 20;
    private static final Duration DEADLINE = Duration.ofSeconds(30);

    private final Config config;
    private final Transport transport;
    private final TokenSource tokens; // null: for public calls only

    Caller(Config config, TokenSource tokens) {
        this.config = config;
        this.transport = new Transport(config.httpClient());
        this.tokens = tokens;
    }

    Config config() {
        return config;
    }

    <T> CompletableFuture<T> json(Call call, Class<T> type) {
        return json(call, Json.MAPPER.constructType(type));
    }

    <T> CompletableFuture<T> json(Call call, JavaType type) {
        return bytes(call).thenApply(body -> Json.read(body, type));
    }

    CompletableFuture<Void> nothing(Call call) {
        return bytes(call).thenAccept(ignored -> {});
    }

    /** Repeated where that does no harm, and once with another token after a 401. */
    CompletableFuture<byte[]> bytes(Call call) {
        return run(
                call, request -> transport.send(request, MAX_ANSWER, DEADLINE).thenApply(answer -> {
                    if (!answer.good() && answer.status() != call.takes()) {
                        throw ApiException.of(answer);
                    }
                    if (!answer.whole()) {
                        throw new InvalidAnswerException("the answer is larger than " + MAX_ANSWER + " bytes", null);
                    }
                    return answer.body();
                }));
    }

    /** The same for an answer of any length: it is there when its head is. Nothing that comes later is repeated. */
    CompletableFuture<InputStream> stream(Call call, Duration idle) {
        return run(
                call,
                request -> transport.open(request, MAX_ANSWER, DEADLINE, idle).thenApply(opened -> {
                    if (opened.body() == null) {
                        throw ApiException.of(opened.refusal());
                    }
                    return opened.body();
                }));
    }

    private <T> CompletableFuture<T> run(Call call, Function<HttpRequest, CompletableFuture<T>> exchange) {
        Attempts<T> attempts = new Attempts<>(call, exchange);
        return config.retry
                .run(attempts::next, attempts::again)
                .copy()
                .orTimeout(call.limit().toMillis(), TimeUnit.MILLISECONDS)
                .whenComplete((ignored, failure) -> attempts.over = true)
                .exceptionallyComposeAsync(
                        failure -> CompletableFuture.failedFuture(inTime(call, Futures.cause(failure))));
    }

    private static Throwable inTime(Call call, Throwable cause) {
        return cause instanceof TimeoutException
                ? new TransportException(
                        call.method() + " " + call.path() + ": no answer within "
                                + call.limit().toSeconds() + " s",
                        cause)
                : cause;
    }

    /** The attempts of one call, one after the other. */
    private final class Attempts<T> {
        private final Call call;
        private final Function<HttpRequest, CompletableFuture<T>> exchange;
        private final String idempotencyKey;
        private AccessToken sent;
        private boolean replaced;
        private boolean withoutToken;
        private volatile boolean over; // nobody waits any more

        Attempts(Call call, Function<HttpRequest, CompletableFuture<T>> exchange) {
            this.call = call;
            this.exchange = exchange;
            this.idempotencyKey = call.method().equals("POST") && call.body() != null
                    ? UUID.randomUUID().toString()
                    : null;
        }

        CompletableFuture<T> next() {
            if (over) {
                return CompletableFuture.failedFuture(new TimeoutException());
            }
            if (call.open()) {
                return send(null);
            }
            if (tokens == null) {
                return CompletableFuture.failedFuture(TokenSource.noCredential());
            }
            return tokens.tokenAsync()
                    .whenComplete((token, failure) -> {
                        sent = token;
                        withoutToken = failure != null; // its own attempts were made
                    })
                    .thenCompose(this::send);
        }

        boolean again(Throwable failure) {
            if (withoutToken || over) {
                return false;
            }
            if (failure instanceof ApiException refused) {
                if (refused.status() == 401 && refused.code().equals(ErrorCode.UNAUTHENTICATED)) {
                    return !call.open() && replaceToken();
                }
                boolean later = refused.status() == 503 || refused.status() == 429 && refused.temporary();
                return call.repeatable() && later;
            }
            return call.repeatable() && failure instanceof TransportException lost && !lost.timedOut();
        }

        private boolean replaceToken() {
            if (replaced) {
                return false;
            }
            replaced = true;
            tokens.forget(sent);
            return true;
        }

        private CompletableFuture<T> send(AccessToken token) {
            return exchange.apply(request(call, token, idempotencyKey));
        }
    }

    private HttpRequest request(Call call, AccessToken token, String idempotencyKey) {
        URI address = URI.create(config.url() + call.target());
        HttpRequest.Builder request = Transport.http1OverPlain(HttpRequest.newBuilder(address), address.getScheme())
                .header("Accept", call.accept());
        HttpRequest.BodyPublisher content = HttpRequest.BodyPublishers.noBody();
        if (call.form() != null) {
            request.header("Content-Type", "application/x-www-form-urlencoded");
            content = HttpRequest.BodyPublishers.ofString(Call.encode(call.form()));
        } else if (call.body() != null) {
            request.header("Content-Type", "application/json");
            content = HttpRequest.BodyPublishers.ofByteArray(Json.write(call.body()));
        }
        if (token != null) {
            request.header("Authorization", "Bearer " + token.value());
        }
        if (idempotencyKey != null) {
            request.header("Idempotency-Key", idempotencyKey);
        }
        return request.method(call.method(), content).build();
    }

    /** Walks a list by the cursor that each page gives for the next. */
    <P, T> Listing<T> cursors(
            Function<String, CompletableFuture<P>> page, Function<P, List<T>> data, Function<P, String> next) {
        return new Listing<>(cursor -> {
            P one = Futures.await(page.apply(cursor));
            return new Listing.Part<>(data.apply(one), next.apply(one));
        });
    }
}
