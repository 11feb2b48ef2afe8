package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.sentryagent.agentidp.TestServer.Reply;
import io.github.sentryagent.agentidp.okhttp.BearerInterceptor;
import io.github.sentryagent.agentidp.spring.BearerRequestInterceptor;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import org.junit.jupiter.api.Test;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.web.client.RestClient;

class ClientsTest {
    private final AtomicInteger issued = new AtomicInteger();
    private volatile String good = "t-2";

    /** An IdP, and an API that takes one token. */
    private Reply world(TestServer.Seen request) {
        if (request.path().equals("/api/v1/token")) {
            return Reply.token("t-" + issued.incrementAndGet(), 3600);
        }
        boolean passes = request.header("Authorization").equals("Bearer " + good);
        return new Reply(passes ? 200 : 401, Map.of(), passes ? "in: " + request.body() : "out");
    }

    private static HttpRequest.Builder to(TestServer server) {
        return HttpRequest.newBuilder(URI.create(server.url() + "/notes"));
    }

    @Test
    void aTokenThatDiedIsReplacedOnce() throws Exception {
        try (TestServer server = new TestServer(this::world)) {
            HttpClient client = new AuthorizedHttpClient(
                    new TokenSource(Vectors.config(server.url()).build()));
            HttpRequest request = to(server)
                    .header("Authorization", "Bearer of the caller's")
                    .POST(BodyPublishers.ofString("text"))
                    .build();
            assertEquals(
                    "in: text", client.send(request, BodyHandlers.ofString()).body());
            assertEquals(
                    "in: text",
                    client.sendAsync(request, BodyHandlers.ofString()).join().body());
            assertEquals(2, issued.get());
            assertEquals(3, server.count("/notes"));
            // The plain upgrade to HTTP/2 is never tried.
            assertTrue(
                    server.seen.stream().allMatch(one -> one.header("Upgrade").isEmpty()));
        }
    }

    @Test
    void asynchronouslyToo() {
        try (TestServer server = new TestServer(this::world)) {
            HttpClient client = new AuthorizedHttpClient(
                    new TokenSource(Vectors.config(server.url()).build()));
            HttpResponse<java.io.InputStream> answer = client.sendAsync(
                            to(server).build(), BodyHandlers.ofInputStream())
                    .join();
            assertEquals(200, answer.statusCode());
            assertEquals(2, issued.get());
        }
    }

    @Test
    void anApiThatRefusesEverythingCostsNoTokens() throws Exception {
        good = "none";
        try (TestServer server = new TestServer(this::world)) {
            HttpClient client = new AuthorizedHttpClient(
                    new TokenSource(Vectors.config(server.url()).build()));
            for (int i = 0; i < 5; i++) {
                assertEquals(
                        401,
                        client.send(to(server).build(), BodyHandlers.ofString()).statusCode());
            }
            assertEquals(2, issued.get());
            assertEquals(6, server.count("/notes"));
        }
    }

    @Test
    void aBodyThatComesOnceIsSentOnce() throws Exception {
        good = "none";
        try (TestServer server = new TestServer(this::world)) {
            HttpClient client = new AuthorizedHttpClient(
                    new TokenSource(Vectors.config(server.url()).build()));
            HttpRequest request = to(server)
                    .POST(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(new byte[] {'x'})))
                    .build();
            assertEquals(401, client.send(request, BodyHandlers.discarding()).statusCode());
            assertEquals(1, server.count("/notes"));
        }
    }

    @Test
    void aClientThatFollowsRedirectsIsRefused() {
        HttpClient follows = HttpClient.newBuilder()
                .followRedirects(HttpClient.Redirect.ALWAYS)
                .build();
        ConfigBuilder config = Vectors.config("https://idp.example.com");
        TokenSource tokens = new TokenSource(config.build());
        assertThrows(ConfigurationException.class, () -> new AuthorizedHttpClient(follows, tokens));
        assertThrows(ConfigurationException.class, config.httpClient(follows)::build);
        assertThrows(
                ConfigurationException.class,
                Verifier.builder().issuer("").audience("").jwksUrl("ftp://x").httpClient(follows)::build);
        HttpClient plain = HttpClient.newHttpClient();
        HttpClient client = new AuthorizedHttpClient(plain, tokens);
        assertEquals(plain.cookieHandler(), client.cookieHandler());
        assertEquals(plain.connectTimeout(), client.connectTimeout());
        assertEquals(plain.followRedirects(), client.followRedirects());
        assertEquals(plain.proxy(), client.proxy());
        assertEquals(plain.sslContext(), client.sslContext());
        assertArrayEquals(
                plain.sslParameters().getProtocols(), client.sslParameters().getProtocols());
        assertEquals(plain.authenticator(), client.authenticator());
        assertEquals(plain.version(), client.version());
        assertEquals(plain.executor(), client.executor());
    }

    @Test
    void okHttp() throws IOException {
        try (TestServer server = new TestServer(this::world)) {
            OkHttpClient client = new OkHttpClient.Builder()
                    .addInterceptor(new BearerInterceptor(
                            new TokenSource(Vectors.config(server.url()).build())))
                    .build();
            Request request = new Request.Builder()
                    .url(server.url() + "/notes")
                    .post(RequestBody.create("text".getBytes(java.nio.charset.StandardCharsets.UTF_8)))
                    .build();
            try (Response answer = client.newCall(request).execute()) {
                assertEquals("in: text", answer.body().string());
            }
            assertEquals(2, issued.get());
            OkHttpClient lost = new OkHttpClient.Builder()
                    .addInterceptor(new BearerInterceptor(
                            new TokenSource(Vectors.config("http://127.0.0.1:1").build())))
                    .build();
            assertThrows(IOException.class, () -> lost.newCall(request).execute());
            client.dispatcher().executorService().shutdown();
            client.connectionPool().evictAll();
        }
    }

    @Test
    void spring() {
        try (TestServer server = new TestServer(this::world)) {
            RestClient client = RestClient.builder()
                    .requestFactory(new JdkClientHttpRequestFactory())
                    .requestInterceptor(new BearerRequestInterceptor(
                            new TokenSource(Vectors.config(server.url()).build())))
                    .build();
            String answer = client.post()
                    .uri(server.url() + "/notes")
                    .body("text")
                    .retrieve()
                    .body(String.class);
            assertEquals("in: text", answer);
            assertEquals(2, issued.get());
        }
    }

    @Test
    void oneRequestHoweverManyCallers() throws Exception {
        CountDownLatch asked = new CountDownLatch(1);
        CountDownLatch answer = new CountDownLatch(1);
        try (TestServer server = new TestServer(request -> {
            asked.countDown();
            TestServer.hold(answer);
            return world(request);
        })) {
            TokenSource tokens = new TokenSource(Vectors.config(server.url()).build());
            List<CompletableFuture<AccessToken>> all = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                all.add(tokens.tokenAsync());
            }
            asked.await();
            assertTrue(all.get(7).cancel(true));
            Thread waiting = Thread.currentThread();
            CompletableFuture<Void> interrupts = CompletableFuture.runAsync(waiting::interrupt);
            TransportException interrupted = assertThrows(TransportException.class, tokens::token);
            assertInstanceOf(InterruptedException.class, interrupted.getCause());
            interrupts.join();
            assertTrue(Thread.interrupted());
            answer.countDown();
            all.remove(7);
            all.forEach(one -> assertEquals("t-1", one.join().value()));
            assertEquals(1, server.seen.size());
        }
    }

    @Test
    void aSecretThatIsReplacedWhileARequestIsUnderWay() {
        AtomicReference<TokenSource> source = new AtomicReference<>();
        try (TestServer server = new TestServer(request -> {
            if (issued.incrementAndGet() > 1) {
                return Reply.token("new", 3600);
            }
            source.get().use(new ClientAuthentication.Secret("other"));
            return Reply.json(401, "{\"error\":\"invalid_client\"}");
        })) {
            source.set(new TokenSource(Vectors.config(server.url()).build()));
            assertEquals("new", source.get().token().value());
            assertEquals(
                    2,
                    server.seen.stream()
                            .map(one -> one.header("Authorization"))
                            .distinct()
                            .count());
        }
    }

    @Test
    void anAnswerThatNeverEndsIsCutOff() {
        try (TestServer server = new TestServer(request -> {
            TestServer.hold(new CountDownLatch(1)); // until the server is closed
            return Reply.NONE;
        })) {
            CompletableFuture<Transport.Answer> answer =
                    new Transport(null).send(to(server).build(), 1, Duration.ofMillis(50));
            TransportException late = assertThrows(TransportException.class, () -> Futures.await(answer));
            assertTrue(late.timedOut());
        }
    }

    @Test
    void listsAreWalkedPageByPage() {
        List<String> asked = new ArrayList<>();
        Listing<Integer> listing = new Listing<>(cursor -> {
            asked.add(String.valueOf(cursor));
            return switch (String.valueOf(cursor)) {
                case "null" -> new Listing.Part<>(List.of(1, 2), "a");
                case "a" -> new Listing.Part<>(List.of(), "b"); // a search may bring an empty page
                default -> new Listing.Part<>(List.of(3), null);
            };
        });
        assertEquals(List.of(1, 2), listing.stream().limit(2).toList());
        assertEquals(List.of("null"), asked);
        assertEquals(List.of(1, 2, 3), listing.stream().toList());
        var walk = listing.iterator();
        for (int i = 1; i <= 3; i++) {
            assertEquals(i, walk.next());
        }
        assertThrows(NoSuchElementException.class, walk::next);
    }
}
