package io.github.sentryagent.agentidp;

/** A good status whose answer is not what was promised; something in between may have given it. */
public final class InvalidAnswerException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    InvalidAnswerException(String message, Throwable cause) {
        super(message, cause);
    }
}
