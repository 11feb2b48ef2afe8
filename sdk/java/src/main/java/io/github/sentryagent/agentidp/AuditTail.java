package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.AuditEvent;
import io.github.sentryagent.agentidp.model.AuditPage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** Follows the log by looking at its newest pages, again and again. For one follower. */
final class AuditTail {
    static final int MOST_NEW = 10_000;

    private final Function<String, CompletableFuture<AuditPage>> pages; // by cursor; of null: the newest
    private final int last;
    private final Duration every;
    private final Function<Duration, CompletableFuture<Void>> pause;
    private long after = -1; // the sequence of the newest event that was seen
    private boolean first = true;

    AuditTail(
            Function<String, CompletableFuture<AuditPage>> pages,
            int last,
            Duration every,
            Function<Duration, CompletableFuture<Void>> pause) {
        this.pages = pages;
        this.last = last;
        this.every = every;
        this.pause = pause;
    }

    /** What is new, oldest first; may be nothing. All looks but the first come after a pause. */
    private CompletableFuture<List<AuditEvent>> look() {
        CompletableFuture<Void> begin = first ? CompletableFuture.completedFuture(null) : pause.apply(every);
        return begin.thenCompose(ignored -> newer(null, new ArrayList<>())).thenApply(this::taken);
    }

    private CompletableFuture<List<AuditEvent>> newer(String cursor, List<AuditEvent> found) {
        return pages.apply(cursor).thenCompose(page -> {
            for (AuditEvent event : page.data()) {
                if (event.sequence() <= after || first && found.size() >= Math.max(last, 1)) {
                    return CompletableFuture.completedFuture(found);
                }
                if (found.size() == MOST_NEW) {
                    return CompletableFuture.failedFuture(new AgentIdpException(
                            "more than " + MOST_NEW + " new events: follow the log with a filter, or export it", null));
                }
                found.add(event);
            }
            String next = page.nextCursor();
            return next == null || next.isEmpty() ? CompletableFuture.completedFuture(found) : newer(next, found);
        });
    }

    /** The first look reads one event at least, to know where the log ends. */
    private List<AuditEvent> taken(List<AuditEvent> found) {
        Collections.reverse(found);
        if (!found.isEmpty()) {
            after = found.get(found.size() - 1).sequence();
        }
        List<AuditEvent> wanted =
                first && found.size() > last ? found.subList(found.size() - last, found.size()) : found;
        first = false;
        return wanted;
    }

    /** Ends when it is closed, by whichever thread. */
    Stream<AuditEvent> stream() {
        Walk walk = new Walk();
        return StreamSupport.stream(
                        Spliterators.spliteratorUnknownSize(walk, Spliterator.ORDERED | Spliterator.NONNULL), false)
                .onClose(() -> walk.closed.complete(List.of()));
    }

    private final class Walk implements Iterator<AuditEvent> {
        private final CompletableFuture<List<AuditEvent>> closed = new CompletableFuture<>();
        private Iterator<AuditEvent> part = List.<AuditEvent>of().iterator();

        @Override
        public boolean hasNext() {
            while (!closed.isDone() && !part.hasNext()) {
                part = Futures.await(look().applyToEither(closed, Function.identity()))
                        .iterator();
            }
            return !closed.isDone();
        }

        @Override
        public AuditEvent next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return part.next();
        }
    }

    /** Done with what ended it: a failure, what the consumer threw, or that it was cancelled. */
    CompletableFuture<Void> each(Consumer<AuditEvent> consumer) {
        CompletableFuture<Void> end = new CompletableFuture<>();
        step(consumer, end);
        return end;
    }

    /** Not a chain of futures, which would grow as long as the log is followed. */
    private void step(Consumer<AuditEvent> consumer, CompletableFuture<Void> end) {
        if (end.isDone()) {
            return;
        }
        look().whenCompleteAsync((events, failure) -> {
            if (failure != null) {
                end.completeExceptionally(Futures.cause(failure));
                return;
            }
            try {
                for (Iterator<AuditEvent> each = events.iterator(); each.hasNext() && !end.isDone(); ) {
                    consumer.accept(each.next());
                }
            } catch (Throwable thrown) {
                end.completeExceptionally(thrown);
            }
            step(consumer, end);
        });
    }
}
