package io.github.sentryagent.agentidp;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** Between futures and those who block on them. */
final class Futures {
    private Futures() {}

    /** Blocks until the future is done and throws what it failed with. An interrupt ends the wait and the work. */
    static <T> T await(CompletableFuture<T> future) {
        try {
            return future.get();
        } catch (InterruptedException e) {
            future.cancel(true);
            Thread.currentThread().interrupt();
            throw new TransportException("interrupted while waiting for an answer", e);
        } catch (ExecutionException e) {
            if (cause(e) instanceof AgentIdpException known) {
                throw known;
            }
            throw new AgentIdpException("unexpected: " + cause(e), cause(e));
        }
    }

    /** What a future failed with, without the wrappers. */
    static Throwable cause(Throwable failure) {
        Throwable cause = failure;
        while ((cause instanceof CompletionException || cause instanceof ExecutionException)
                && cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause;
    }
}
