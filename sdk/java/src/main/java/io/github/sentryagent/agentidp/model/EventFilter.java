package io.github.sentryagent.agentidp.model;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Bounds a list of events. */
public final class EventFilter {
    /** Bounds nothing. */
    public static final EventFilter ALL = builder().build();

    private final Map<String, String> parameters;

    private EventFilter(Map<String, String> parameters) {
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
         * @param search text in any value
         * @return this
         */
        public Builder search(String search) {
            parameters.put("q", search);
            return this;
        }

        /**
         * Bounds by {@code agentId}.
         *
         * @param agentId who acted
         * @return this
         */
        public Builder agentId(String agentId) {
            parameters.put("agentId", agentId);
            return this;
        }

        /**
         * Bounds by {@code targetAgentId}.
         *
         * @param agentId what others did to it
         * @return this
         */
        public Builder targetAgentId(String agentId) {
            parameters.put("targetAgentId", agentId);
            return this;
        }

        /**
         * Bounds by {@code action}.
         *
         * @param action as {@code token.issued}
         * @return this
         */
        public Builder action(String action) {
            parameters.put("action", action);
            return this;
        }

        /**
         * Bounds by {@code outcome}.
         *
         * @param outcome how it ended
         * @return this
         */
        public Builder outcome(Outcome outcome) {
            parameters.put("outcome", outcome.name().toLowerCase(Locale.ROOT));
            return this;
        }

        /**
         * Bounds by {@code from}.
         *
         * @param from this time or later
         * @return this
         */
        public Builder from(Instant from) {
            parameters.put("from", from.toString());
            return this;
        }

        /**
         * Bounds by {@code to}.
         *
         * @param to before this time
         * @return this
         */
        public Builder to(Instant to) {
            parameters.put("to", to.toString());
            return this;
        }

        /**
         * Ends it.
         *
         * @return what was set
         */
        public EventFilter build() {
            return new EventFilter(Map.copyOf(parameters));
        }
    }
}
