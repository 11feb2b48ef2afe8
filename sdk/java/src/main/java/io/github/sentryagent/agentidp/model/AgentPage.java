package io.github.sentryagent.agentidp.model;

import java.util.List;

/**
 * One page of agents.
 *
 * @param data the agents
 * @param total entries on all pages
 * @param page 1 with a cursor
 * @param limit entries a page
 * @param nextCursor for the next page; null on the last
 * @param incomplete more agents match the search than are looked at
 */
public record AgentPage(List<Agent> data, long total, int page, int limit, String nextCursor, boolean incomplete) {
    /** Lists that are absent are empty. */
    public AgentPage {
        data = data == null ? List.of() : List.copyOf(data);
    }
}
