package io.github.sentryagent.agentidp;

/** It cannot be told now whether a token is good: nothing of it may be believed. An API answers 503. */
public final class VerificationUnavailableException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    private final String reason;

    VerificationUnavailableException(String reason, Throwable cause) {
        super("the token cannot be verified now: " + reason, cause);
        this.reason = reason;
    }

    /**
     * What is not known.
     *
     * @return {@code keys_stale} or {@code revocations_stale}; {@code interrupted} when the thread was, while it waited
     */
    public String reason() {
        return reason;
    }
}
