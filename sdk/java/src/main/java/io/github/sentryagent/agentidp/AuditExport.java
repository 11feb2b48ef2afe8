package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.EventFilter;
import io.github.sentryagent.agentidp.model.ExportFormat;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

/** The log as one long answer. */
final class AuditExport {
    /** Within which something must come. */
    private static final Duration IDLE = Duration.ofMinutes(1);

    private final Caller caller;
    private final Duration idle;

    AuditExport(Caller caller) {
        this(caller, IDLE);
    }

    AuditExport(Caller caller, Duration idle) {
        this.caller = caller;
        this.idle = idle;
    }

    CompletableFuture<InputStream> open(ExportFormat format, EventFilter filter) {
        Call call = Call.get("/api/v1/audit/export")
                .with("format", format.name().toLowerCase(Locale.ROOT))
                .with(filter.parameters());
        return caller.stream(call.accepting("*/*"), idle);
    }

    void write(ExportFormat format, EventFilter filter, OutputStream to) throws IOException {
        try (InputStream in = Futures.await(open(format, filter))) {
            in.transferTo(to);
        }
    }

    /** The file is there when it is whole. */
    void write(ExportFormat format, EventFilter filter, Path file) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        Path part = Files.createTempFile(folder, file.getFileName().toString(), ".part");
        try {
            try (OutputStream out = Files.newOutputStream(part)) {
                write(format, filter, out);
            }
            Files.move(part, file, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    Stream<String> lines(EventFilter filter) {
        InputStream in = Futures.await(open(ExportFormat.NDJSON, filter));
        return new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))
                .lines()
                .onClose(() -> close(in));
    }

    private static void close(InputStream in) {
        try {
            in.close();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** What an export does with its answer. */
    interface Writing {
        void run() throws IOException;
    }

    /** On a thread of its own, for it may take long: there are at most two exports of an organization. */
    static CompletableFuture<Void> apart(Writing writing) {
        CompletableFuture<Void> done = new CompletableFuture<>();
        Thread thread = new Thread(
                () -> {
                    try {
                        writing.run();
                        done.complete(null);
                    } catch (IOException | RuntimeException e) {
                        done.completeExceptionally(e);
                    }
                },
                "agentidp-export");
        thread.setDaemon(true);
        thread.start();
        return done;
    }
}
