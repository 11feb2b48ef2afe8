package io.github.sentryagent.agentidp.servlet;

import io.github.sentryagent.agentidp.TokenRefusedException;
import io.github.sentryagent.agentidp.VerificationUnavailableException;
import io.github.sentryagent.agentidp.VerifiedToken;
import io.github.sentryagent.agentidp.Verifier;
import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.security.Principal;
import java.util.Collections;
import java.util.List;

/**
 * Lets only requests with a good bearer token pass. Behind it {@link HttpServletRequest#getUserPrincipal()} is the agent,
 * {@link HttpServletRequest#isUserInRole} tells whether the token covers a capability, and {@link #token} is the token.
 *
 * <p>Else the answer is 401 (no token, or not a good one), 403 (a capability is missing) or 503 (it cannot be told now),
 * with {@code WWW-Authenticate} (RFC 6750 section 3) and a JSON body that names the reason.
 */
public final class BearerFilter implements Filter {
    private static final String ATTRIBUTE = VerifiedToken.class.getName();

    private final Verifier verifier;
    private final List<String> capabilities;

    /**
     * Makes one.
     *
     * @param verifier of the API
     * @param capabilities that every request needs
     */
    public BearerFilter(Verifier verifier, String... capabilities) {
        this.verifier = verifier;
        this.capabilities = List.of(capabilities);
    }

    /**
     * The token of a request that the filter let pass.
     *
     * @param request behind the filter
     * @return null in front of it
     */
    public static VerifiedToken token(ServletRequest request) {
        return (VerifiedToken) request.getAttribute(ATTRIBUTE);
    }

    @Override
    public void doFilter(ServletRequest plain, ServletResponse answer, FilterChain chain)
            throws IOException, ServletException {
        HttpServletRequest request = (HttpServletRequest) plain;
        HttpServletResponse response = (HttpServletResponse) answer;
        VerifiedToken token = verified(request, response);
        if (token == null) {
            return;
        }
        for (String needed : capabilities) {
            if (!token.covers(needed)) {
                String challenge =
                        "Bearer error=\"insufficient_scope\", scope=\"" + String.join(" ", capabilities) + "\"";
                refuse(response, 403, challenge, "FORBIDDEN", "capability_missing");
                return;
            }
        }
        request.setAttribute(ATTRIBUTE, token);
        chain.doFilter(new Authenticated(request, token), response);
    }

    /** Null when it was refused. */
    private VerifiedToken verified(HttpServletRequest request, HttpServletResponse response) throws IOException {
        List<String> credentials = Collections.list(request.getHeaders("Authorization"));
        if (credentials.isEmpty()) {
            refuse(response, 401, "Bearer", "UNAUTHENTICATED", "token_missing");
            return null;
        }
        String credential = credentials.get(0);
        int space = credential.indexOf(' ');
        if (credentials.size() > 1) {
            refuseToken(response, "credential_duplicate");
            return null;
        }
        if (space < 0 || !credential.substring(0, space).equalsIgnoreCase("Bearer")) {
            refuseToken(response, "scheme_unsupported");
            return null;
        }
        try {
            return verifier.verify(credential.substring(space + 1));
        } catch (TokenRefusedException e) {
            refuseToken(response, e.reason().code());
        } catch (VerificationUnavailableException e) {
            response.setHeader("Retry-After", "1");
            refuse(response, 503, null, "UNAVAILABLE", e.reason());
        }
        return null;
    }

    private static void refuseToken(HttpServletResponse response, String reason) throws IOException {
        refuse(response, 401, "Bearer error=\"invalid_token\"", "UNAUTHENTICATED", reason);
    }

    /** Reasons are ours: they need no escapes. */
    private static void refuse(HttpServletResponse response, int status, String challenge, String code, String reason)
            throws IOException {
        response.setStatus(status);
        if (challenge != null) {
            response.setHeader("WWW-Authenticate", challenge);
        }
        response.setHeader("Cache-Control", "no-store");
        response.setContentType("application/json");
        response.getWriter()
                .write("{\"code\":\"" + code + "\",\"message\":\"" + reason.replace('_', ' ')
                        + "\",\"details\":{\"reason\":\"" + reason + "\"}}");
    }

    /** The request as the API sees it. */
    private static final class Authenticated extends HttpServletRequestWrapper {
        private final VerifiedToken token;

        Authenticated(HttpServletRequest request, VerifiedToken token) {
            super(request);
            this.token = token;
        }

        @Override
        public Principal getUserPrincipal() {
            return token::subject;
        }

        @Override
        public String getRemoteUser() {
            return token.subject();
        }

        @Override
        public boolean isUserInRole(String capability) {
            return token.covers(capability);
        }

        @Override
        public String getAuthType() {
            return "Bearer";
        }
    }
}
