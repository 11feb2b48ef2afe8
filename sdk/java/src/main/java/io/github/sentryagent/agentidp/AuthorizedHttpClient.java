package io.github.sentryagent.agentidp;

import java.io.IOException;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/**
 * A {@link HttpClient} whose requests carry the source's token. After a 401 the token is forgotten and the request
 * repeated once with a new one, if its body can be sent again. Redirects are not followed: they would carry the token
 * elsewhere.
 */
public final class AuthorizedHttpClient extends HttpClient {
    private final HttpClient client;
    private final TokenSource tokens;

    /**
     * Over a client with a connection limit of ten seconds.
     *
     * @param tokens for the API that is called
     */
    public AuthorizedHttpClient(TokenSource tokens) {
        this(Transport.defaultClient(), tokens);
    }

    /**
     * Over a client of the caller's.
     *
     * @param client must not follow redirects
     * @param tokens for the API that is called
     * @throws ConfigurationException when the client follows redirects
     */
    public AuthorizedHttpClient(HttpClient client, TokenSource tokens) {
        if (client.followRedirects() != Redirect.NEVER) {
            throw new ConfigurationException(
                    List.of("the HTTP client follows redirects, which would carry tokens elsewhere"), null);
        }
        this.client = client;
        this.tokens = tokens;
    }

    @Override
    public <T> HttpResponse<T> send(HttpRequest request, HttpResponse.BodyHandler<T> handler)
            throws IOException, InterruptedException {
        AccessToken token = tokens.token();
        HttpResponse<T> answer = client.send(authorize(request, token), handler);
        if (!again(request, answer, token)) {
            return answer;
        }
        discard(answer);
        return client.send(authorize(request, tokens.token()), handler);
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, HttpResponse.BodyHandler<T> handler) {
        return sendAsync(request, handler, null);
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(
            HttpRequest request, HttpResponse.BodyHandler<T> handler, HttpResponse.PushPromiseHandler<T> push) {
        return tokens.tokenAsync().thenCompose(token -> client.sendAsync(authorize(request, token), handler, push)
                .thenCompose(answer -> {
                    if (!again(request, answer, token)) {
                        return CompletableFuture.completedFuture(answer);
                    }
                    discard(answer);
                    return tokens.tokenAsync()
                            .thenCompose(other -> client.sendAsync(authorize(request, other), handler, push));
                }));
    }

    private boolean again(HttpRequest request, HttpResponse<?> answer, AccessToken token) {
        return answer.statusCode() == 401 && repeatable(request) && tokens.forgetAfterRefusal(token);
    }

    /** A body of known length is in memory or in a file; others may come once only. */
    private static boolean repeatable(HttpRequest request) {
        return request.bodyPublisher().map(body -> body.contentLength() >= 0).orElse(true);
    }

    private static void discard(HttpResponse<?> answer) {
        if (answer.body() instanceof AutoCloseable open) {
            try {
                open.close();
            } catch (Exception e) {
                // of an answer that nobody reads
                return;
            }
        }
    }

    private static HttpRequest authorize(HttpRequest request, AccessToken token) {
        HttpRequest.Builder copy =
                HttpRequest.newBuilder(request, (name, value) -> !name.equalsIgnoreCase("Authorization"));
        if (request.version().isEmpty()) {
            Transport.http1OverPlain(copy, request.uri().getScheme());
        }
        return copy.setHeader("Authorization", "Bearer " + token.value()).build();
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
