package io.github.sentryagent.agentidp;

import java.util.List;

/** A configuration that cannot work; the message names every problem at once. */
public final class ConfigurationException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    ConfigurationException(List<String> problems, Throwable cause) {
        super(String.join("; ", problems), cause);
    }
}
