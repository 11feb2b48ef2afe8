package io.github.sentryagent.agentidp;

import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * A list that is fetched page by page as it is consumed. Each iteration starts over; a failed page throws where it is
 * reached.
 *
 * @param <T> what is listed
 */
public final class Listing<T> implements Iterable<T> {
    /** The most that the API gives at once. */
    static final int PAGE_SIZE = 100;

    /**
     * A page.
     *
     * @param next what names the next one; null on the last
     */
    record Part<T>(List<T> data, String next) {}

    private final Function<String, Part<T>> pages; // of null: the first

    Listing(Function<String, Part<T>> pages) {
        this.pages = pages;
    }

    /**
     * The entries.
     *
     * @return lazy and sequential
     */
    public Stream<T> stream() {
        return StreamSupport.stream(spliterator(), false);
    }

    @Override
    public Iterator<T> iterator() {
        return new Walk();
    }

    private final class Walk implements Iterator<T> {
        private Iterator<T> part;
        private String next;

        @Override
        public boolean hasNext() {
            while (part == null || !part.hasNext() && next != null) {
                Part<T> page = pages.apply(next);
                part = page.data().iterator();
                next = page.next() == null || page.next().isEmpty() ? null : page.next();
            }
            return part.hasNext();
        }

        @Override
        public T next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return part.next();
        }
    }
}
