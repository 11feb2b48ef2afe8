package io.github.sentryagent.agentidp.model;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Bounds a list of agents. */
public final class AgentFilter {
    /** Bounds nothing. */
    public static final AgentFilter ALL = builder().build();

    private final Map<String, String> parameters;

    private AgentFilter(Map<String, String> parameters) {
        this.parameters = parameters;
    }

    /**
     * Begins one.
     *
     * @return that bounds nothing
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * What is asked for.
     *
     * @return by the API's names
     */
    public Map<String, String> parameters() {
        return parameters;
    }

    /** Collects bounds. */
    public static final class Builder {
        private final Map<String, String> parameters = new LinkedHashMap<>();

        private Builder() {}

        /**
         * Bounds by {@code q}.
         *
         * @param search email, id or owner begins so
         * @return this
         */
        public Builder search(String search) {
            parameters.put("q", search);
            return this;
        }

        /**
         * Bounds by {@code sort}.
         *
         * @param sort {@code -createdAt}, {@code createdAt}, {@code email} or {@code -email}
         * @return this
         */
        public Builder sort(String sort) {
            parameters.put("sort", sort);
            return this;
        }

        /**
         * Bounds by {@code status}.
         *
         * @param status without one all but the decommissioned
         * @return this
         */
        public Builder status(AgentStatus status) {
            parameters.put("status", status.name().toLowerCase(Locale.ROOT));
            return this;
        }

        /**
         * Bounds by {@code owner}.
         *
         * @param owner who answers for it
         * @return this
         */
        public Builder owner(String owner) {
            parameters.put("owner", owner);
            return this;
        }

        /**
         * Bounds by {@code agentType}.
         *
         * @param agentType a label
         * @return this
         */
        public Builder agentType(AgentType agentType) {
            parameters.put("agentType", agentType.name().toLowerCase(Locale.ROOT));
            return this;
        }

        /**
         * Bounds by {@code deploymentEnv}.
         *
         * @param deploymentEnv where it runs
         * @return this
         */
        public Builder deploymentEnv(DeploymentEnv deploymentEnv) {
            parameters.put("deploymentEnv", deploymentEnv.name().toLowerCase(Locale.ROOT));
            return this;
        }

        /**
         * Bounds by {@code capability}.
         *
         * @param capability exactly this one
         * @return this
         */
        public Builder capability(String capability) {
            parameters.put("capability", capability);
            return this;
        }

        /**
         * Bounds by {@code organizationId}.
         *
         * @param organizationId another one, for the operator
         * @return this
         */
        public Builder organizationId(String organizationId) {
            parameters.put("organizationId", organizationId);
            return this;
        }

        /**
         * Ends it.
         *
         * @return what was set
         */
        public AgentFilter build() {
            return new AgentFilter(Map.copyOf(parameters));
        }
    }
}
