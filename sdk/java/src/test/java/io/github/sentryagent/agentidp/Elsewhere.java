package io.github.sentryagent.agentidp;

import java.io.IOException;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Predicate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/**
 * Sends what is meant for any origin to a test server, or, where a test says so, to a port where nobody listens. (A
 * server that hangs up may see a GET twice: the platform's client repeats it by itself.)
 */
class Elsewhere extends HttpClient {
    private final HttpClient client = Transport.defaultClient();
    private final String server;
    private final Predicate<HttpRequest> refused;

    Elsewhere(TestServer server) {
        this(server, request -> false);
    }

    Elsewhere(TestServer server, Predicate<HttpRequest> refused) {
        this(server.url(), refused);
    }

    Elsewhere(String server, Predicate<HttpRequest> refused) {
        this.server = server;
        this.refused = refused;
    }

    private HttpRequest there(HttpRequest request) {
        String rest = request.uri().getRawPath()
                + (request.uri().getRawQuery() == null
                        ? ""
                        : "?" + request.uri().getRawQuery());
        return HttpRequest.newBuilder(request, (name, value) -> true)
                .uri(URI.create((refused.test(request) ? "http://127.0.0.1:1" : server) + rest))
                .version(Version.HTTP_1_1)
                .build();
    }

    @Override
    public <T> HttpResponse<T> send(HttpRequest request, HttpResponse.BodyHandler<T> handler)
            throws IOException, InterruptedException {
        return client.send(there(request), handler);
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        return client.sendAsync(there(request), handler);
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(
            HttpRequest request, HttpResponse.BodyHandler<T> handler, HttpResponse.PushPromiseHandler<T> push) {
        return client.sendAsync(there(request), handler, push);
    }

    @Override
    public Optional<CookieHandler> cookieHandler() {
        return client.cookieHandler();
    }

    @Override
    public Optional<Duration> connectTimeout() {
        return client.connectTimeout();
    }

    @Override
    public Redirect followRedirects() {
        return client.followRedirects();
    }

    @Override
    public Optional<ProxySelector> proxy() {
        return client.proxy();
    }

    @Override
    public SSLContext sslContext() {
        return client.sslContext();
    }

    @Override
    public SSLParameters sslParameters() {
        return client.sslParameters();
    }

    @Override
    public Optional<Authenticator> authenticator() {
        return client.authenticator();
    }

    @Override
    public Version version() {
        return client.version();
    }

    @Override
    public Optional<Executor> executor() {
        return client.executor();
    }
}
