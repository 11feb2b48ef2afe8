package io.github.sentryagent.agentidp;

/** The codes of refusals of the token endpoints (RFC 6749 section 5.2 and extensions). */
public final class OAuthErrorCode {
    /** The request breaks a rule. */
    public static final String INVALID_REQUEST = "invalid_request";

    /** Client authentication failed. */
    public static final String INVALID_CLIENT = "invalid_client";

    /** Not covered by the capabilities of the agent. */
    public static final String INVALID_SCOPE = "invalid_scope";

    /** No such resource. */
    public static final String INVALID_TARGET = "invalid_target";

    /** The bearer token is not usable. */
    public static final String INVALID_TOKEN = "invalid_token";

    /** The token does not carry the capability. */
    public static final String INSUFFICIENT_SCOPE = "insufficient_scope";

    /** The agent is suspended, or the token is another's. */
    public static final String UNAUTHORIZED_CLIENT = "unauthorized_client";

    /** Another grant than client credentials. */
    public static final String UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type";

    /** There is no authorization code flow. */
    public static final String UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type";

    /** The policy denies it. */
    public static final String ACCESS_DENIED = "access_denied";

    /** The monthly number of tokens is used up; no waiting mends it before the next month. */
    public static final String QUOTA_EXCEEDED = "quota_exceeded";

    /** Too many requests. */
    public static final String RATE_LIMITED = "rate_limited";

    /** A defect of the IdP. */
    public static final String SERVER_ERROR = "server_error";

    /** Nothing was done; try again. */
    public static final String TEMPORARILY_UNAVAILABLE = "temporarily_unavailable";

    private OAuthErrorCode() {}
}
