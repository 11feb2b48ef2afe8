package io.github.sentryagent.agentidp;

/** What every failure of this SDK is: {@link ApiException}, {@link TransportException} and the others. */
public class AgentIdpException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes one.
     *
     * @param message for people and logs; never a secret
     * @param cause may be null
     */
    public AgentIdpException(String message, Throwable cause) {
        super(message, cause);
    }
}
