package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.sentryagent.agentidp.TestServer.Reply;
import io.github.sentryagent.agentidp.model.AuditEvent;
import io.github.sentryagent.agentidp.model.AuditPage;
import io.github.sentryagent.agentidp.model.EventFilter;
import io.github.sentryagent.agentidp.model.ExportFormat;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The log as it comes. */
class AuditStreamsTest {
    @TempDir
    private Path folder;

    private static AuditEvent event(long sequence) {
        return new AuditEvent(
                "e" + sequence, sequence, "o", null, "token.issued", null, null, null, null, null, null, null);
    }

    /** A log of so many events, few a page; a pause ends at once and brings as many events as it is told to. */
    private static final class Log {
        private final AtomicInteger length;
        private int perPage = 3;
        private final List<Integer> arrivals = new ArrayList<>();
        private final CompletableFuture<Void> quiet = new CompletableFuture<>();

        Log(int length, Integer... arrivals) {
            this.length = new AtomicInteger(length);
            this.arrivals.addAll(List.of(arrivals));
        }

        private CompletableFuture<AuditPage> page(String cursor) {
            long newest = cursor == null ? length.get() - 1 : Long.parseLong(cursor);
            List<AuditEvent> events = LongStream.iterate(newest, sequence -> sequence - 1)
                    .limit(Math.min(perPage, newest + 1))
                    .mapToObj(AuditStreamsTest::event)
                    .toList();
            return CompletableFuture.completedFuture(
                    new AuditPage(events, newest >= perPage ? String.valueOf(newest - perPage) : "", null));
        }

        private CompletableFuture<Void> pause(Duration length) {
            assertEquals(Duration.ofSeconds(2), length);
            if (arrivals.isEmpty()) {
                return quiet;
            }
            this.length.addAndGet(arrivals.remove(0));
            return CompletableFuture.completedFuture(null);
        }

        AuditTail tail(int last) {
            return new AuditTail(this::page, last, Duration.ofSeconds(2), this::pause);
        }
    }

    private static List<Long> first(Log log, int last, int count) {
        try (Stream<AuditEvent> events = log.tail(last).stream()) {
            return events.limit(count).map(AuditEvent::sequence).toList();
        }
    }

    @Test
    void followsTheLog() {
        assertEquals(List.of(10L, 11L, 12L, 13L), first(new Log(10, 0, 4, 1), 0, 4));
        assertEquals(List.of(8L, 9L, 10L), first(new Log(10, 1), 2, 3));
        assertEquals(List.of(3L, 4L, 5L, 6L, 7L, 8L, 9L), first(new Log(10), 7, 7));
        assertEquals(List.of(0L, 1L), first(new Log(0, 0, 2), 5, 2));
    }

    @Test
    void tooMuchNewIsAnError() {
        Log flood = new Log(1, AuditTail.MOST_NEW + 1);
        flood.perPage = 1000;
        AgentIdpException lost = assertThrows(AgentIdpException.class, () -> first(flood, 0, 1));
        assertTrue(lost.getMessage().contains("10000 new events"), lost.getMessage());
        Log most = new Log(1, AuditTail.MOST_NEW);
        most.perPage = 1000;
        assertEquals(List.of(1L), first(most, 0, 1));
    }

    @Test
    void endsWhenItIsClosed() {
        AtomicReference<Stream<AuditEvent>> events = new AtomicReference<>();
        events.set(new AuditTail(
                        new Log(1)::page, 0, Duration.ofSeconds(2), length -> CompletableFuture.supplyAsync(() -> {
                                    events.get().close(); // while the follower waits for the pause that never ends
                                    return null;
                                })
                                .thenCompose(ignored -> new CompletableFuture<>()))
                .stream());
        assertEquals(0, events.get().count());
    }

    @Test
    void withoutBlockingToo() {
        List<Long> seen = new ArrayList<>();
        CompletableFuture<Void> followed = new Log(2, 1, 1).tail(1).each(event -> {
            seen.add(event.sequence());
            if (seen.size() == 3) {
                throw new IllegalStateException("enough");
            }
        });
        CompletionException thrown = assertThrows(CompletionException.class, followed::join);
        assertEquals("enough", thrown.getCause().getMessage());
        assertEquals(List.of(1L, 2L, 3L), seen);

        CompletableFuture<Void> lost = new AuditTail(
                        cursor -> CompletableFuture.failedFuture(new TransportException("away", null)),
                        1,
                        Duration.ofSeconds(2),
                        length -> new CompletableFuture<>())
                .each(event -> {});
        assertInstanceOf(
                TransportException.class,
                assertThrows(CompletionException.class, lost::join).getCause());
    }

    @Test
    void aCancelledFollowerGetsNothingMore() {
        AtomicReference<CompletableFuture<Void>> followed = new AtomicReference<>();
        CompletableFuture<Void> begun = new CompletableFuture<>();
        CompletableFuture<Void> cancelled = new CompletableFuture<>();
        List<Long> seen = new ArrayList<>();
        followed.set(new Log(3).tail(3).each(event -> {
            seen.add(event.sequence());
            begun.join();
            followed.get().cancel(true);
            cancelled.complete(null);
        }));
        begun.complete(null);
        cancelled.join();
        assertThrows(CancellationException.class, followed.get()::join);
        assertEquals(List.of(0L), List.copyOf(seen));
    }

    private static Audit audit(TestServer idp) {
        return new ManagementClient(Vectors.config(idp.url()).build()).audit();
    }

    @Test
    void anExportThatIsCutOffIsNoFile() throws Exception {
        AtomicInteger exports = new AtomicInteger();
        try (TestServer idp = new TestServer(request -> {
            if (request.path().equals("/api/v1/token")) {
                return Reply.token("t", 3600);
            }
            return switch (exports.getAndIncrement()) {
                case 0 -> Reply.json(503, "{\"code\":\"OVERLOADED\",\"message\":\"m\",\"details\":{}}");
                case 1 -> new Reply(200, Map.of("Content-Length", "1000"), "one\ntwo\n");
                case 2 -> Reply.json(403, "{\"code\":\"FORBIDDEN\",\"message\":\"m\",\"details\":{}}");
                default -> new Reply(200, Map.of(), "whole\n");
            };
        })) {
            Path file = folder.resolve("log.csv");
            Files.writeString(file, "before");
            TransportException cut = assertThrows(
                    TransportException.class, () -> audit(idp).export(ExportFormat.CSV, EventFilter.ALL, file));
            assertTrue(cut.getMessage().contains("incomplete"), cut.getMessage());
            assertEquals(2, exports.get(), "repeated before it began, and not after");
            assertEquals("before", Files.readString(file));
            ApiException refused =
                    assertThrows(ApiException.class, () -> audit(idp).export(ExportFormat.CSV, EventFilter.ALL, file));
            assertEquals(ErrorCode.FORBIDDEN, refused.code());
            audit(idp).exportAsync(ExportFormat.CSV, EventFilter.ALL, file).join();
            assertEquals("whole\n", Files.readString(file));
            try (Stream<Path> files = Files.list(folder)) {
                assertEquals(List.of(file), files.toList());
            }
            assertEquals("format=csv", idp.seen.get(idp.seen.size() - 1).query());
            try (Stream<String> lines = audit(idp).exportLines(EventFilter.ALL)) {
                assertEquals(List.of("whole"), lines.toList());
            }
            OutputStream full = new OutputStream() {
                @Override
                public void write(int octet) throws IOException {
                    throw new IOException("the disk is full");
                }
            };
            assertThrows(IOException.class, () -> audit(idp).export(ExportFormat.CSV, EventFilter.ALL, full));
            ByteArrayOutputStream kept = new ByteArrayOutputStream();
            audit(idp).exportAsync(ExportFormat.NDJSON, EventFilter.ALL, kept).join();
            assertEquals("whole\n", kept.toString(StandardCharsets.UTF_8));
            assertThrows(CompletionException.class, () -> audit(idp)
                    .exportAsync(ExportFormat.CSV, EventFilter.ALL, full)
                    .join());
        }
    }

    /** A server that says ten of a hundred bytes and stays. */
    @Test
    void anExportThatStopsIsGivenUp() throws Exception {
        try (ServerSocket listener = new ServerSocket(0, 10, InetAddress.getByName("127.0.0.1"))) {
            CompletableFuture<Socket> connection = CompletableFuture.supplyAsync(() -> {
                try {
                    Socket accepted = listener.accept();
                    accepted.getOutputStream()
                            .write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"
                                    .getBytes(StandardCharsets.US_ASCII));
                    return accepted;
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
            });
            Config config = Config.builder()
                    .url("http://127.0.0.1:" + listener.getLocalPort())
                    .build();
            Caller caller = new Caller(config, null);
            InputStream body =
                    Futures.await(caller.stream(Call.get("/api/v1/audit/export").openly(), Duration.ofMillis(50)));
            TransportException stopped = assertThrows(TransportException.class, body::readAllBytes);
            assertTrue(stopped.timedOut());
            body.close();
            assertThrows(IOException.class, body::read);
            connection.join().close();
        }
    }

    @Test
    void aReadEndsWithTheStream() throws Exception {
        IncomingBody body = new IncomingBody("here", Duration.ofMinutes(10));
        CompletableFuture<Void> cancelled = new CompletableFuture<>();
        body.onSubscribe(new java.util.concurrent.Flow.Subscription() {
            @Override
            public void request(long count) {
                assertEquals(1, count);
            }

            @Override
            public void cancel() {
                cancelled.complete(null);
            }
        });
        body.onNext(List.of(
                java.nio.ByteBuffer.wrap(new byte[] {(byte) 0xff}), java.nio.ByteBuffer.wrap(new byte[] {1, 2})));
        assertEquals(255, body.read());
        assertEquals(0, body.read(new byte[3], 0, 0));
        assertEquals(2, body.read(new byte[3], 0, 3));
        CompletableFuture<Throwable> read =
                CompletableFuture.supplyAsync(() -> assertThrows(Exception.class, () -> body.read(new byte[1], 0, 1)));
        body.close();
        body.close();
        read.join();
        assertTrue(cancelled.isDone());

        IncomingBody whole = new IncomingBody("here", Duration.ofMinutes(10));
        whole.onSubscribe(new java.util.concurrent.Flow.Subscription() {
            @Override
            public void request(long count) {}

            @Override
            public void cancel() {}
        });
        whole.onComplete();
        assertEquals(-1, whole.read());
        assertEquals(-1, whole.read());
        IncomingBody interrupted = new IncomingBody("here", Duration.ofMinutes(10));
        interrupted.onSubscribe(new java.util.concurrent.Flow.Subscription() {
            @Override
            public void request(long count) {}

            @Override
            public void cancel() {}
        });
        Thread.currentThread().interrupt();
        TransportException ended = assertThrows(TransportException.class, interrupted::read);
        assertTrue(Thread.interrupted());
        assertInstanceOf(InterruptedException.class, ended.getCause());
        assertFalse(ended.timedOut());
    }
}
