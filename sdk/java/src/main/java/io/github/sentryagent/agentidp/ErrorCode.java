package io.github.sentryagent.agentidp;

/** The codes of refused management operations. */
public final class ErrorCode {
    /** 400: the request breaks a rule; the details name each field. */
    public static final String VALIDATION_FAILED = "VALIDATION_FAILED";

    /** 401: no token, or an unusable one. */
    public static final String UNAUTHENTICATED = "UNAUTHENTICATED";

    /** 403: the token does not carry the capability. */
    public static final String FORBIDDEN = "FORBIDDEN";

    /** 403: nobody grants more than they hold. */
    public static final String CAPABILITY_CEILING = "CAPABILITY_CEILING";

    /** 403: the plan allows no more. */
    public static final String FREE_TIER_LIMIT_EXCEEDED = "FREE_TIER_LIMIT_EXCEEDED";

    /** 404: it does not exist, or belongs to another organization. */
    public static final String NOT_FOUND = "NOT_FOUND";

    /** 405. */
    public static final String METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED";

    /** 409: the email is taken. */
    public static final String AGENT_ALREADY_EXISTS = "AGENT_ALREADY_EXISTS";

    /** 409: not in this state; the details name the reason. */
    public static final String INVALID_STATE = "INVALID_STATE";

    /** 409: somebody must be left. */
    public static final String LAST_ADMINISTRATOR = "LAST_ADMINISTRATOR";

    /** 409: decisions are missing. */
    public static final String SEQUENCE_GAP = "SEQUENCE_GAP";

    /** 408. */
    public static final String REQUEST_TIMEOUT = "REQUEST_TIMEOUT";

    /** 412: it changed since. */
    public static final String PRECONDITION_FAILED = "PRECONDITION_FAILED";

    /** 413. */
    public static final String PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE";

    /** 414. */
    public static final String URI_TOO_LONG = "URI_TOO_LONG";

    /** 415. */
    public static final String UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE";

    /** 417. */
    public static final String EXPECTATION_FAILED = "EXPECTATION_FAILED";

    /** 422: the key came before with another body. */
    public static final String IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED";

    /** 429: too many requests. */
    public static final String RATE_LIMITED = "RATE_LIMITED";

    /** 431. */
    public static final String HEADER_TOO_LARGE = "HEADER_TOO_LARGE";

    /** 500: a defect of the IdP. */
    public static final String INTERNAL = "INTERNAL";

    /** 501. */
    public static final String NOT_IMPLEMENTED = "NOT_IMPLEMENTED";

    /** 503: nothing was done; try again. */
    public static final String OVERLOADED = "OVERLOADED";

    /** 503: nothing was done; try again. */
    public static final String AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE";

    /** 503: nothing was done; try again. */
    public static final String STORE_UNAVAILABLE = "STORE_UNAVAILABLE";

    /** 503: nothing was done; try again. */
    public static final String UNAVAILABLE = "UNAVAILABLE";

    private ErrorCode() {}
}
