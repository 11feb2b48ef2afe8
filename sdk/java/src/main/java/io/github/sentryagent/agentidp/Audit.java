package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.AuditEvent;
import io.github.sentryagent.agentidp.model.AuditPage;
import io.github.sentryagent.agentidp.model.ConsistencyProof;
import io.github.sentryagent.agentidp.model.EventFilter;
import io.github.sentryagent.agentidp.model.ExportFormat;
import io.github.sentryagent.agentidp.model.InclusionProof;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** The tamper-evident log. */
public final class Audit {
    private static final Duration LOOK_EVERY = Duration.ofSeconds(2);

    private final Caller caller;
    private final AuditExport export;

    Audit(Caller caller) {
        this.caller = caller;
        this.export = new AuditExport(caller);
    }

    /**
     * Lists the log, newest first, page by page as it is consumed.
     *
     * @param filter which
     * @return the events
     */
    public Listing<AuditEvent> list(EventFilter filter) {
        return caller.cursors(
                cursor -> pageAsync(filter, cursor, Listing.PAGE_SIZE), AuditPage::data, AuditPage::nextCursor);
    }

    /**
     * One page of that list.
     *
     * @param filter which
     * @param cursor of the page before; null: the first
     * @param limit entries, 1 to 100
     * @return the page
     * @throws ApiException when the IdP refuses
     */
    public AuditPage page(EventFilter filter, String cursor, int limit) {
        return Futures.await(pageAsync(filter, cursor, limit));
    }

    /**
     * The same without blocking.
     *
     * @param filter which
     * @param cursor of the page before; null: the first
     * @param limit entries, 1 to 100
     * @return the page
     */
    public CompletableFuture<AuditPage> pageAsync(EventFilter filter, String cursor, int limit) {
        Call call = Call.get("/api/v1/audit").with(filter.parameters()).with("cursor", cursor);
        return caller.json(call.with("limit", limit), AuditPage.class);
    }

    /**
     * Follows the log from now on, looking every two seconds: see {@link #tail(EventFilter, int, Duration)}.
     *
     * @param filter which
     * @return new events
     */
    public Stream<AuditEvent> tail(EventFilter filter) {
        return tail(filter, 0, LOOK_EVERY);
    }

    /**
     * Follows the log: the last events that are there, oldest first, then new ones as they come.
     *
     * @param filter which
     * @param last how many that are there already come first
     * @param every the pause between two looks
     * @return blocks for the next event; ends when it is closed, by whichever thread. A look that fails throws, and so do
     *     more than 10,000 new events between two looks
     */
    public Stream<AuditEvent> tail(EventFilter filter, int last, Duration every) {
        return follow(filter, last, every).stream();
    }

    /**
     * The same without blocking.
     *
     * @param filter which
     * @param last how many that are there already come first
     * @param every the pause between two looks
     * @param consumer gets one event at a time, on another thread; what it throws ends it
     * @return fails as {@link #tail} throws; cancelling it ends it
     */
    public CompletableFuture<Void> tailAsync(
            EventFilter filter, int last, Duration every, Consumer<AuditEvent> consumer) {
        return follow(filter, last, every).each(consumer);
    }

    private AuditTail follow(EventFilter filter, int last, Duration every) {
        return new AuditTail(
                cursor -> pageAsync(filter, cursor, Listing.PAGE_SIZE),
                last,
                every,
                caller.config().retry.pause());
    }

    /**
     * Exports the log, oldest first, up to the latest checkpoint, which may be as long as the log.
     *
     * @param format NDJSON can be verified without the IdP
     * @param filter which; a text is searched in all events that the rest leaves
     * @return to be closed; a read throws a {@link TransportException} when the export is incomplete, or a minute brings
     *     nothing
     * @throws ApiException when the IdP refuses
     */
    public InputStream export(ExportFormat format, EventFilter filter) {
        return Futures.await(exportAsync(format, filter));
    }

    /**
     * The same, without blocking until it begins.
     *
     * @param format NDJSON can be verified without the IdP
     * @param filter which; a text is searched in all events that the rest leaves
     * @return done when the first part may be read
     */
    public CompletableFuture<InputStream> exportAsync(ExportFormat format, EventFilter filter) {
        return export.open(format, filter);
    }

    /**
     * The same into a stream.
     *
     * @param format NDJSON can be verified without the IdP
     * @param filter which; a text is searched in all events that the rest leaves
     * @param to left open; after an exception it has a part of the export
     * @throws IOException when the stream throws it
     * @throws TransportException when the export is incomplete
     */
    public void export(ExportFormat format, EventFilter filter, OutputStream to) throws IOException {
        export.write(format, filter, to);
    }

    /**
     * The same without blocking.
     *
     * @param format NDJSON can be verified without the IdP
     * @param filter which; a text is searched in all events that the rest leaves
     * @param to written by another thread
     * @return done when all is written
     */
    public CompletableFuture<Void> exportAsync(ExportFormat format, EventFilter filter, OutputStream to) {
        return AuditExport.apart(() -> export.write(format, filter, to));
    }

    /**
     * The same into a file.
     *
     * @param format NDJSON can be verified without the IdP
     * @param filter which; a text is searched in all events that the rest leaves
     * @param file replaced when the export is whole; else it stays as it is
     * @throws IOException when it cannot be written
     * @throws TransportException when the export is incomplete
     */
    public void export(ExportFormat format, EventFilter filter, Path file) throws IOException {
        export.write(format, filter, file);
    }

    /**
     * The same without blocking.
     *
     * @param format NDJSON can be verified without the IdP
     * @param filter which; a text is searched in all events that the rest leaves
     * @param file replaced when the export is whole; else it stays as it is
     * @return done when it is replaced
     */
    public CompletableFuture<Void> exportAsync(ExportFormat format, EventFilter filter, Path file) {
        return AuditExport.apart(() -> export.write(format, filter, file));
    }

    /**
     * The same line by line, as NDJSON.
     *
     * @param filter which; a text is searched in all events that the rest leaves
     * @return to be closed; throws a {@link TransportException} where the export is incomplete
     * @throws ApiException when the IdP refuses
     */
    public Stream<String> exportLines(EventFilter filter) {
        return export.lines(filter);
    }

    /**
     * Gets one event.
     *
     * @param eventId which
     * @return the event
     * @throws ApiException when the IdP refuses
     */
    public AuditEvent get(String eventId) {
        return Futures.await(getAsync(eventId));
    }

    /**
     * The same without blocking.
     *
     * @param eventId which
     * @return the event
     */
    public CompletableFuture<AuditEvent> getAsync(String eventId) {
        return leafAsync(eventId).thenApply(leaf -> Json.read(leaf, AuditEvent.class));
    }

    /**
     * Gets the leaf of an event.
     *
     * @param eventId which
     * @return the bytes that the tree hashes
     * @throws ApiException when the IdP refuses
     */
    public byte[] leaf(String eventId) {
        return Futures.await(leafAsync(eventId));
    }

    /**
     * The same without blocking.
     *
     * @param eventId which
     * @return the bytes that the tree hashes
     */
    public CompletableFuture<byte[]> leafAsync(String eventId) {
        return caller.bytes(Call.get("/api/v1/audit/" + Call.segment(eventId)));
    }

    /**
     * Proves the event at a place.
     *
     * @param leafIndex its sequence
     * @param treeSize of the tree to prove against; null: the latest checkpoint that holds it
     * @return the proof
     * @throws ApiException when the IdP refuses
     */
    public InclusionProof inclusionProof(long leafIndex, Long treeSize) {
        return Futures.await(inclusionProofAsync(leafIndex, treeSize));
    }

    /**
     * The same without blocking.
     *
     * @param leafIndex its sequence
     * @param treeSize of the tree to prove against; null: the latest checkpoint that holds it
     * @return the proof
     */
    public CompletableFuture<InclusionProof> inclusionProofAsync(long leafIndex, Long treeSize) {
        Call call = Call.get("/api/v1/audit/proof/inclusion").with("leafIndex", leafIndex);
        return caller.json(call.with("treeSize", treeSize), InclusionProof.class);
    }

    /**
     * Proves that a later log extends an earlier one.
     *
     * @param first events of the earlier
     * @param second events of the later
     * @return the proof
     * @throws ApiException when the IdP refuses
     */
    public ConsistencyProof consistencyProof(long first, long second) {
        return Futures.await(consistencyProofAsync(first, second));
    }

    /**
     * The same without blocking.
     *
     * @param first events of the earlier
     * @param second events of the later
     * @return the proof
     */
    public CompletableFuture<ConsistencyProof> consistencyProofAsync(long first, long second) {
        Call call = Call.get("/api/v1/audit/proof/consistency").with("first", first);
        return caller.json(call.with("second", second), ConsistencyProof.class);
    }

    /**
     * The latest signed checkpoint, a C2SP note. Keep it elsewhere.
     *
     * @return the note
     * @throws ApiException when the IdP refuses
     */
    public String checkpoint() {
        return Futures.await(checkpointAsync());
    }

    /**
     * The same without blocking.
     *
     * @return the note
     */
    public CompletableFuture<String> checkpointAsync() {
        return caller.bytes(Call.get("/api/v1/audit/checkpoint").accepting("text/plain"))
                .thenApply(note -> new String(note, StandardCharsets.UTF_8));
    }
}
