package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Page;
import io.github.sentryagent.agentidp.model.Sidecar;

/** Sidecars that report to the IdP. */
public final class Sidecars {
    private final Caller caller;

    Sidecars(Caller caller) {
        this.caller = caller;
    }

    /**
     * Lists sidecars, most recently seen first.
     *
     * @return page by page as it is consumed
     */
    public Listing<Sidecar> list() {
        return list(null);
    }

    /**
     * The same of another organization, for the operator.
     *
     * @param organizationId whose; null: the caller's own
     * @return page by page as it is consumed
     */
    public Listing<Sidecar> list(String organizationId) {
        return Paging.byNumber(number -> Futures.await(caller.<Page<Sidecar>>json(
                Call.get("/api/v1/sidecars")
                        .with("page", number)
                        .with("limit", Listing.PAGE_SIZE)
                        .with("organizationId", organizationId),
                Paging.of(Sidecar.class))));
    }
}
