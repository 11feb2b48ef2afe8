package io.github.sentryagent.agentidp;

/** A token that is not good. Its message never contains a part of the token. */
public final class TokenRefusedException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    private final RefusalReason reason;

    TokenRefusedException(RefusalReason reason, String detail) {
        super("token refused: " + reason.code() + (detail.isEmpty() ? "" : ": " + detail), null);
        this.reason = reason;
    }

    TokenRefusedException(RefusalReason reason) {
        this(reason, "");
    }

    /**
     * Why.
     *
     * @return never null
     */
    public RefusalReason reason() {
        return reason;
    }
}
