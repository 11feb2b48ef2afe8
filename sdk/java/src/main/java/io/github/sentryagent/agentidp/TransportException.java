package io.github.sentryagent.agentidp;

import java.util.concurrent.TimeoutException;

/** No answer, or none that can be used: no connection, a deadline that passed, not the promised form. */
public final class TransportException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    TransportException(String message, Throwable cause) {
        super(message, cause);
    }

    /**
     * Whether a time limit passed: the other side may have done what it was asked to.
     *
     * @return false when the connection failed
     */
    public boolean timedOut() {
        return getCause() instanceof TimeoutException;
    }
}
