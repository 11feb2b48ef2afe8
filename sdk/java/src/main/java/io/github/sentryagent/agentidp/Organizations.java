package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.CreatedOrganization;
import io.github.sentryagent.agentidp.model.NewOrganization;
import io.github.sentryagent.agentidp.model.Organization;
import io.github.sentryagent.agentidp.model.OrganizationPatch;
import io.github.sentryagent.agentidp.model.OrganizationUsage;
import io.github.sentryagent.agentidp.model.Page;
import java.util.concurrent.CompletableFuture;

/** Tenants. */
public final class Organizations {
    private final Caller caller;

    Organizations(Caller caller) {
        this.caller = caller;
    }

    /**
     * Lists organizations, newest first.
     *
     * @return page by page as it is consumed
     */
    public Listing<Organization> list() {
        return Paging.byNumber(number -> Futures.await(caller.<Page<Organization>>json(
                Call.get("/api/v1/organizations").with("page", number).with("limit", Listing.PAGE_SIZE),
                Paging.of(Organization.class))));
    }

    /**
     * Makes an organization and its administrator.
     *
     * @param organization which
     * @return with a secret that is never shown again
     * @throws ApiException when the IdP refuses
     */
    public CreatedOrganization create(NewOrganization organization) {
        return Futures.await(createAsync(organization));
    }

    /**
     * The same without blocking.
     *
     * @param organization which
     * @return with a secret that is never shown again
     */
    public CompletableFuture<CreatedOrganization> createAsync(NewOrganization organization) {
        return caller.json(Call.post("/api/v1/organizations", organization), CreatedOrganization.class);
    }

    /**
     * Gets one organization.
     *
     * @param organizationId which
     * @return the organization
     * @throws ApiException when the IdP refuses
     */
    public Organization get(String organizationId) {
        return Futures.await(getAsync(organizationId));
    }

    /**
     * The same without blocking.
     *
     * @param organizationId which
     * @return the organization
     */
    public CompletableFuture<Organization> getAsync(String organizationId) {
        return caller.json(Call.get(path(organizationId)), Organization.class);
    }

    /**
     * Changes members of an organization. Not repeated when it fails.
     *
     * @param organizationId which
     * @param patch what
     * @return the organization after the change
     * @throws ApiException when the IdP refuses
     */
    public Organization update(String organizationId, OrganizationPatch patch) {
        return Futures.await(updateAsync(organizationId, patch));
    }

    /**
     * The same without blocking.
     *
     * @param organizationId which
     * @param patch what
     * @return the organization after the change
     */
    public CompletableFuture<Organization> updateAsync(String organizationId, OrganizationPatch patch) {
        return caller.json(Call.patch(path(organizationId), patch), Organization.class);
    }

    /**
     * What the organization used of its plan.
     *
     * @param organizationId which
     * @return of this month
     * @throws ApiException when the IdP refuses
     */
    public OrganizationUsage usage(String organizationId) {
        return Futures.await(usageAsync(organizationId));
    }

    /**
     * The same without blocking.
     *
     * @param organizationId which
     * @return of this month
     */
    public CompletableFuture<OrganizationUsage> usageAsync(String organizationId) {
        return caller.json(Call.get(path(organizationId) + "/usage"), OrganizationUsage.class);
    }

    private static String path(String organizationId) {
        return "/api/v1/organizations/" + Call.segment(organizationId);
    }
}
