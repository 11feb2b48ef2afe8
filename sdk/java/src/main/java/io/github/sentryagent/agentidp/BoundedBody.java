package io.github.sentryagent.agentidp;

import java.io.ByteArrayOutputStream;
import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;

/** Collects a body up to a bound, and takes no more than that. Called by one thread at a time. */
final class BoundedBody implements BodySubscriber<BoundedBody.Bytes> {
    /**
     * What was collected.
     *
     * @param whole false when there was more
     */
    record Bytes(byte[] bytes, boolean whole) {}

    private final int limit;
    private final CompletableFuture<Bytes> done = new CompletableFuture<>();
    private final ByteArrayOutputStream collected = new ByteArrayOutputStream();
    private Flow.Subscription subscription;

    BoundedBody(int limit) {
        this.limit = limit;
    }

    @Override
    public CompletionStage<Bytes> getBody() {
        return done;
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
        subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        for (ByteBuffer buffer : buffers) {
            byte[] part = new byte[Math.min(buffer.remaining(), limit - collected.size())];
            boolean whole = part.length == buffer.remaining();
            buffer.get(part);
            collected.writeBytes(part);
            if (!whole) {
                subscription.cancel();
                done.complete(new Bytes(collected.toByteArray(), false));
                return;
            }
        }
    }

    @Override
    public void onError(Throwable failure) {
        done.completeExceptionally(failure);
    }

    @Override
    public void onComplete() {
        done.complete(new Bytes(collected.toByteArray(), true));
    }
}
