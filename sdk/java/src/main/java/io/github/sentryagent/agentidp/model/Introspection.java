package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonFormat;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/**
 * The state of a token (RFC 7662). Of a dead one only {@code active} is set.
 *
 * @param active whether it is live
 * @param scope capabilities; null of a dead one, as are the others
 * @param clientId whose credential
 * @param tokenType Bearer
 * @param exp Unix seconds
 * @param iat Unix seconds
 * @param nbf Unix seconds
 * @param sub the agent
 * @param aud the APIs it is for
 * @param iss the IdP
 * @param jti its own id
 * @param org the organization
 */
public record Introspection(
        boolean active,
        String scope,
        @JsonProperty("client_id") String clientId,
        @JsonProperty("token_type") String tokenType,
        Long exp,
        Long iat,
        Long nbf,
        String sub,

        @JsonFormat(with = JsonFormat.Feature.ACCEPT_SINGLE_VALUE_AS_ARRAY)
        List<String> aud,

        String iss,
        String jti,
        String org) {
    /** An absent list is empty. */
    public Introspection {
        aud = aud == null ? List.of() : List.copyOf(aud);
    }
}
