package io.github.sentryagent.agentidp.model;

import java.util.List;

/**
 * One page of a list.
 *
 * @param <T> what is listed
 * @param data the entries
 * @param total entries on all pages
 * @param page from 1
 * @param limit entries a page
 */
public record Page<T>(List<T> data, long total, int page, int limit) {
    /** Lists that are absent are empty. */
    public Page {
        data = data == null ? List.of() : List.copyOf(data);
    }
}
