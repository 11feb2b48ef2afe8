package io.github.sentryagent.agentidp;

import java.io.IOException;
import java.io.InputStream;
import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A body of any length, as it comes. Little of it is held: more is asked for when the last part was taken. Reading throws
 * a {@link TransportException} when it does not end as HTTP has it end, or when nothing comes for the idle time. Read by
 * one thread at a time; any may close it.
 */
final class IncomingBody extends InputStream implements BodySubscriber<IncomingBody> {
    private static final Object END = new Object();

    private final String place;
    private final Duration idle;
    private final CompletableFuture<IncomingBody> begun = new CompletableFuture<>();
    private final BlockingQueue<Object> arrived = new LinkedBlockingQueue<>(); // buffers, a failure or END
    private Flow.Subscription subscription; // set before begun
    private Iterator<ByteBuffer> part = List.<ByteBuffer>of().iterator();
    private ByteBuffer current = ByteBuffer.allocate(0);
    private Object ended; // END or the failure, once it was taken
    private volatile boolean closed;

    /**
     * Makes one.
     *
     * @param place what errors name it by
     * @param idle how long nothing may come
     */
    IncomingBody(String place, Duration idle) {
        this.place = place;
        this.idle = idle;
    }

    @Override
    public CompletionStage<IncomingBody> getBody() {
        return begun;
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
        begun.complete(this);
        subscription.request(1);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        arrived.add(buffers);
    }

    @Override
    public void onError(Throwable failure) {
        arrived.add(failure);
        begun.completeExceptionally(failure); // of an answer without a body
    }

    @Override
    public void onComplete() {
        arrived.add(END);
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        while (!current.hasRemaining()) {
            if (closed) {
                throw new IOException("closed");
            }
            if (!advance()) {
                return -1;
            }
        }
        int count = Math.min(length, current.remaining());
        current.get(into, offset, count);
        return count;
    }

    /** False at the end. */
    private boolean advance() throws IOException {
        if (part.hasNext()) {
            current = part.next();
            return true;
        }
        if (ended == null) {
            Object next = next();
            if (next instanceof List<?> buffers) {
                part = buffers.stream().map(ByteBuffer.class::cast).iterator();
                subscription.request(1);
                return true;
            }
            ended = next;
        }
        if (ended instanceof Throwable failure) {
            throw new TransportException(place + ": the answer is incomplete", failure);
        }
        return false;
    }

    private Object next() {
        try {
            Object next = arrived.poll(idle.toMillis(), TimeUnit.MILLISECONDS);
            if (next != null) {
                return next;
            }
            subscription.cancel();
            return new TimeoutException("nothing came for " + idle.toSeconds() + " s");
        } catch (InterruptedException e) {
            subscription.cancel();
            Thread.currentThread().interrupt();
            return e;
        }
    }

    /** Ends the answer, if it goes on, and a read that waits. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            subscription.cancel();
            arrived.add(new IOException("closed"));
        }
    }
}
