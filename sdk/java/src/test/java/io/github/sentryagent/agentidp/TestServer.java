package io.github.sentryagent.agentidp;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;

/**
 * A real HTTP server that answers what a test says, header by header: the platform's own sets some itself. Every
 * connection serves one request.
 */
final class TestServer implements AutoCloseable {
    /** A request as it came; names of headers in lower case. */
    record Seen(String method, String path, String query, Map<String, String> headers, String body) {
        String header(String name) {
            return headers.getOrDefault(name.toLowerCase(Locale.ROOT), "");
        }
    }

    /** An answer; a status of 0 hangs up. */
    record Reply(int status, Map<String, String> headers, String body) {
        static final Reply NONE = new Reply(0, Map.of(), "");

        static Reply json(int status, String body) {
            return new Reply(status, Map.of("Content-Type", "application/json"), body);
        }

        static Reply token(String value, long expiresIn) {
            return json(
                    200,
                    "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%d}"
                            .formatted(value, expiresIn));
        }
    }

    private static final AtomicBoolean WARM = new AtomicBoolean();

    /** The first exchange loads hundreds of classes: on a busy machine that takes longer than an attempt may. */
    private static void warm() {
        try (TestServer server = new TestServer(request -> new Reply(204, Map.of(), ""))) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(server.url()))
                    .version(HttpClient.Version.HTTP_1_1)
                    .build();
            Transport.defaultClient()
                    .sendAsync(request, BodyHandlers.ofString())
                    .join();
        }
    }

    /** Blocks a request until a test goes on, or the server is closed. */
    static void hold(CountDownLatch until) {
        try {
            until.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    final List<Seen> seen = new CopyOnWriteArrayList<>();
    private final ServerSocket listener;
    private final ExecutorService threads = Executors.newCachedThreadPool();

    TestServer(Function<Seen, Reply> answers) {
        try {
            listener = new ServerSocket(0, 200, InetAddress.getByName("127.0.0.1"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        threads.execute(() -> accept(answers));
        if (WARM.compareAndSet(false, true)) {
            warm();
        }
    }

    String url() {
        return "http://127.0.0.1:" + listener.getLocalPort();
    }

    long count(String path) {
        return seen.stream().filter(one -> one.path.startsWith(path)).count();
    }

    private void accept(Function<Seen, Reply> answers) {
        while (!listener.isClosed()) {
            try {
                Socket connection = listener.accept();
                threads.execute(() -> serve(connection, answers));
            } catch (IOException e) {
                return; // closed
            }
        }
    }

    private void serve(Socket connection, Function<Seen, Reply> answers) {
        try (connection) {
            Seen request = read(new BufferedInputStream(connection.getInputStream()));
            seen.add(request);
            Reply reply = answers.apply(request);
            if (reply.status == 0) {
                return;
            }
            StringBuilder head = new StringBuilder("HTTP/1.1 " + reply.status + " Said\r\nConnection: close\r\n");
            reply.headers.forEach((name, value) -> head.append(name + ": " + value + "\r\n"));
            byte[] body = reply.body.getBytes(StandardCharsets.UTF_8);
            boolean said = reply.headers.containsKey("Content-Length"); // which may be a lie
            if (reply.status != 204 && !said) {
                head.append("Content-Length: " + body.length + "\r\n");
            }
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            answer.writeBytes(head.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1));
            answer.writeBytes(reply.status == 204 ? new byte[0] : body);
            connection.getOutputStream().write(answer.toByteArray());
            connection.shutdownOutput();
        } catch (IOException e) {
            return; // the client left
        }
    }

    private static Seen read(InputStream in) throws IOException {
        String[] first = line(in).split(" ");
        Map<String, String> headers = new HashMap<>();
        for (String line = line(in); !line.isEmpty(); line = line(in)) {
            String[] pair = line.split(":", 2);
            headers.put(pair[0].toLowerCase(Locale.ROOT), pair[1].strip());
        }
        byte[] body = headers.containsKey("transfer-encoding")
                ? chunks(in)
                : in.readNBytes(Integer.parseInt(headers.getOrDefault("content-length", "0")));
        String[] target = first[1].split("\\?", 2);
        String query = target.length > 1 ? target[1] : "";
        return new Seen(first[0], target[0], query, headers, new String(body, StandardCharsets.UTF_8));
    }

    private static byte[] chunks(InputStream in) throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        for (int length = Integer.parseInt(line(in), 16); length > 0; length = Integer.parseInt(line(in), 16)) {
            body.writeBytes(in.readNBytes(length));
            line(in);
        }
        line(in);
        return body.toByteArray();
    }

    private static String line(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new IOException("the request ends");
            }
            line.write(c);
        }
        return line.toString(StandardCharsets.ISO_8859_1).stripTrailing();
    }

    @Override
    public void close() {
        threads.shutdownNow();
        try {
            listener.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
