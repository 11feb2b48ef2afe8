package io.github.sentryagent.agentidp.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/**
 * What a policy sees. Members that are null are left out.
 *
 * @param agent the caller; null on a public route without a token
 * @param token its token; may be null
 * @param request what it asks for; may be null
 * @param route the route that takes it
 * @param rpc the JSON-RPC message in the body; null: it is none
 */
public record PolicyInput(Agent agent, Token token, Request request, Route route, Rpc rpc) {
    /**
     * With an agent, what it may do, and the route that it wants.
     *
     * @param agent the caller
     * @param scope its capabilities
     * @param route the route that takes it
     * @return without request and message
     */
    public static PolicyInput of(Agent agent, List<String> scope, Route route) {
        return new PolicyInput(agent, new Token(null, null, scope, null), null, route, null);
    }

    /**
     * The caller.
     *
     * @param id of the agent; may be null
     * @param organizationId its tenant; may be null
     * @param clientId of its credential; may be null
     */
    public record Agent(String id, String organizationId, String clientId) {}

    /**
     * Its token.
     *
     * @param jti its id; may be null
     * @param aud the APIs it is for; may be null
     * @param scope capabilities; may be null
     * @param exp Unix seconds; may be null
     */
    public record Token(String jti, List<String> aud, List<String> scope, Long exp) {}

    /**
     * What it asks for.
     *
     * @param method may be null
     * @param host may be null
     * @param path without the query; may be null
     * @param peer the client's address; may be null
     */
    public record Request(String method, String host, String path, String peer) {}

    /**
     * The route that takes it.
     *
     * @param id an operationId of the management API, or the pattern of the path at a sidecar
     * @param capability what it demands; {@code public}: nothing
     */
    public record Route(String id, String capability) {}

    /**
     * A JSON-RPC message.
     *
     * @param protocol what it belongs to
     * @param method as {@code tools/call}; empty of a response
     * @param name of the tool or prompt; may be null
     */
    public record Rpc(Protocol protocol, String method, String name) {}

    /** What a message belongs to. */
    public enum Protocol {
        /** Model Context Protocol. */
        @JsonProperty("mcp")
        MCP,
        /** Agent2Agent. */
        @JsonProperty("a2a")
        A2A
    }
}
