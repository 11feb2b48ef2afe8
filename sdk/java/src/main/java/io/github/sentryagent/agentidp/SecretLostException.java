package io.github.sentryagent.agentidp;

import java.time.Instant;

/**
 * A secret was replaced, but the answer with the new one never came: the IdP shows a secret once. Nothing changed here:
 * the secret in use stays good until {@link #goodUntil()}. Another rotation ends it at once, so none is made by itself:
 * tell everybody else who uses it first, then rotate once more before that moment.
 */
public final class SecretLostException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    private final String credentialId;
    private final Instant goodUntil;

    SecretLostException(String credentialId, Instant goodUntil, ApiException refusal) {
        super(
                "the secret of credential " + credentialId
                        + " was replaced, and the answer with the new one is lost: the"
                        + " secret in use stays good until " + Json.time(goodUntil) + "; before that moment rotate once"
                        + " more, after everybody else who uses it has been told, for it ends then at once",
                refusal);
        this.credentialId = credentialId;
        this.goodUntil = goodUntil;
    }

    /**
     * Which credential.
     *
     * @return its id
     */
    public String credentialId() {
        return credentialId;
    }

    /**
     * Until when the secret in use is good at least: when the call of the rotation began, by the local clock, and its
     * overlap.
     *
     * @return never null; in the past when there was no overlap
     */
    public Instant goodUntil() {
        return goodUntil;
    }
}
