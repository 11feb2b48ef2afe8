package io.github.sentryagent.agentidp;

import java.time.Duration;

/**
 * The IdP's refusal of a request: of a token (RFC 6749 section 5.2) or of a management operation.
 * {@link #getMessage()} names status, code, sentence and request, never a secret.
 */
public final class ApiException extends AgentIdpException {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final String code;
    private final String sentence;
    private final transient ErrorDetails details;
    private final String requestId;
    private final Duration retryAfter;

    private ApiException(
            int status, String code, String sentence, ErrorDetails details, String requestId, Duration retryAfter) {
        super(text(status, code, sentence, details, requestId), null);
        this.status = status;
        this.code = code;
        this.sentence = sentence;
        this.details = details;
        this.requestId = requestId;
        this.retryAfter = retryAfter;
    }

    /** Reads the answer, whichever of the two forms it has; of something in between, the status says it. */
    static ApiException of(Transport.Answer answer) {
        Wire wire = new Wire(null, null, null, null, null);
        try {
            wire = Json.read(answer.body(), Wire.class);
        } catch (InvalidAnswerException e) {
            // not the IdP's: no code
        }
        boolean oauth = wire.code == null;
        return new ApiException(
                answer.status(),
                orEmpty(oauth ? wire.error : wire.code),
                orEmpty(oauth ? wire.error_description : wire.message),
                wire.details == null ? ErrorDetails.NONE : wire.details,
                answer.header("X-Request-Id"),
                RetryAfter.of(answer));
    }

    /** Both forms of a refusal in one. */
    record Wire(String code, String message, ErrorDetails details, String error, String error_description) {}

    /**
     * The HTTP status.
     *
     * @return not of 2xx
     */
    public int status() {
        return status;
    }

    /**
     * The stable code, one of {@link ErrorCode} or {@link OAuthErrorCode}, or one that this version does not know.
     *
     * @return empty when the answer was not the IdP's
     */
    public String code() {
        return code;
    }

    /**
     * One sentence for people, as the IdP said it.
     *
     * @return empty when it said none
     */
    public String message() {
        return sentence;
    }

    /**
     * More about the refusal; which members are set depends on its code.
     *
     * @return never null
     */
    public ErrorDetails details() {
        return details == null ? ErrorDetails.NONE : details; // null after deserialization
    }

    /**
     * Finds the refusal in the IdP's log.
     *
     * @return {@code X-Request-Id}, empty when the answer had none
     */
    public String requestId() {
        return requestId;
    }

    /**
     * How long the IdP asks to wait.
     *
     * @return zero when it named no time
     */
    public Duration retryAfter() {
        return retryAfter;
    }

    /**
     * Whether the same request may succeed later.
     *
     * @return true of 5xx, and of 429 unless a monthly quota is used up
     */
    public boolean temporary() {
        return status == 429 && !code.equals(OAuthErrorCode.QUOTA_EXCEEDED) || status >= 500;
    }

    private static String orEmpty(String text) {
        return text == null ? "" : text;
    }

    private static String text(int status, String code, String sentence, ErrorDetails details, String requestId) {
        StringBuilder text = new StringBuilder("refused: status ").append(status);
        for (String part : new String[] {code, sentence, details.reason()}) {
            if (!part.isEmpty()) {
                text.append(": ").append(part);
            }
        }
        for (ErrorDetails.Field field : details.fields()) {
            text.append("; ").append(field.field()).append(' ').append(field.rule());
        }
        return requestId.isEmpty() ? text.toString() : text + " (request " + requestId + ")";
    }
}
