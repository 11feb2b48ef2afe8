package io.github.sentryagent.agentidp;

import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscribers;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One request, its whole answer bounded in time and size. Redirects are never followed. */
final class Transport {
    static final Duration CONNECT = Duration.ofSeconds(10);

    private final HttpClient client;

    Transport(HttpClient client) {
        this.client = client != null ? client : defaultClient();
    }

    /** One for all who bring none: each has threads, connections and a TLS context of its own. */
    static HttpClient defaultClient() {
        return Shared.CLIENT;
    }

    private static final class Shared {
        static final HttpClient CLIENT =
                HttpClient.newBuilder().connectTimeout(CONNECT).build();
    }

    /**
     * An answer.
     *
     * @param whole false when the body was longer than was read
     */
    record Answer(int status, HttpHeaders headers, byte[] body, boolean whole) {
        String header(String name) {
            return headers.firstValue(name).orElse("");
        }

        boolean good() {
            return status / 100 == 2;
        }
    }

    /** Fails with a {@link TransportException} only. */
    CompletableFuture<Answer> send(HttpRequest request, int limit, Duration deadline) {
        return exchange(request, info -> new BoundedBody(limit), deadline)
                .thenApply(response -> answer(response, response.body()));
    }

    /**
     * An answer that goes on.
     *
     * @param body of a 2xx; null of others. Whoever takes it closes it
     * @param refusal what else came
     */
    record Opened(IncomingBody body, Answer refusal) {}

    /** Waits for the head of an answer, and for the whole of one that is not of 2xx. Its body may take any time. */
    CompletableFuture<Opened> open(HttpRequest request, int limit, Duration deadline, Duration idle) {
        BodyHandler<Either> handler = info -> info.statusCode() / 100 == 2
                ? BodySubscribers.mapping(new IncomingBody(place(request), idle), body -> new Either(body, null))
                : BodySubscribers.mapping(new BoundedBody(limit), bytes -> new Either(null, bytes));
        return exchange(request, handler, deadline).thenApply(response -> {
            Either one = response.body();
            return one.going != null ? new Opened(one.going, null) : new Opened(null, answer(response, one.ended));
        });
    }

    private record Either(IncomingBody going, BoundedBody.Bytes ended) {}

    /** {@link HttpRequest#timeout} ends with the head of the answer; the deadline is for all that the handler waits for. */
    private <T> CompletableFuture<HttpResponse<T>> exchange(
            HttpRequest request, BodyHandler<T> handler, Duration deadline) {
        CompletableFuture<HttpResponse<T>> exchange = client.sendAsync(request, handler);
        return exchange.copy()
                .orTimeout(deadline.toMillis(), TimeUnit.MILLISECONDS)
                .handleAsync((response, failure) -> {
                    if (failure == null) {
                        return response;
                    }
                    exchange.cancel(true);
                    throw failed(request, failure);
                });
    }

    private static Answer answer(HttpResponse<?> response, BoundedBody.Bytes body) {
        return new Answer(response.statusCode(), response.headers(), body.bytes(), body.whole());
    }

    private static TransportException failed(HttpRequest request, Throwable failure) {
        Throwable cause = Futures.cause(failure);
        String what = cause instanceof TimeoutException ? ": no whole answer in time" : ": no answer";
        return new TransportException(place(request) + what, cause);
    }

    private static String place(HttpRequest request) {
        return request.method() + " " + request.uri().getScheme() + "://"
                + request.uri().getAuthority() + request.uri().getPath();
    }

    /** The plain HTTP/2 upgrade is a second request hidden in the first: proxies that guard APIs refuse it. */
    static HttpRequest.Builder http1OverPlain(HttpRequest.Builder builder, String scheme) {
        return "http".equalsIgnoreCase(scheme) ? builder.version(HttpClient.Version.HTTP_1_1) : builder;
    }
}
