package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Agent;
import io.github.sentryagent.agentidp.model.AgentFilter;
import io.github.sentryagent.agentidp.model.AgentPage;
import io.github.sentryagent.agentidp.model.AgentPatch;
import io.github.sentryagent.agentidp.model.AgentStatus;
import io.github.sentryagent.agentidp.model.NewAgent;
import io.github.sentryagent.agentidp.model.Usage;
import java.util.concurrent.CompletableFuture;

/** Registered identities. */
public final class Agents {
    private final Caller caller;

    Agents(Caller caller) {
        this.caller = caller;
    }

    /**
     * Lists agents, newest first or as sorted, page by page as they are consumed.
     *
     * @param filter which
     * @return what comes and goes meanwhile moves nothing else
     */
    public Listing<Agent> list(AgentFilter filter) {
        return caller.cursors(
                cursor -> pageAsync(filter, cursor, Listing.PAGE_SIZE), AgentPage::data, AgentPage::nextCursor);
    }

    /**
     * One page of that list.
     *
     * @param filter which
     * @param cursor of the page before; null: the first
     * @param limit entries, 1 to 100
     * @return the page
     * @throws ApiException when the IdP refuses
     */
    public AgentPage page(AgentFilter filter, String cursor, int limit) {
        return Futures.await(pageAsync(filter, cursor, limit));
    }

    /**
     * The same without blocking.
     *
     * @param filter which
     * @param cursor of the page before; null: the first
     * @param limit entries, 1 to 100
     * @return the page
     */
    public CompletableFuture<AgentPage> pageAsync(AgentFilter filter, String cursor, int limit) {
        Call call = Call.get("/api/v1/agents").with(filter.parameters()).with("cursor", cursor);
        return caller.json(call.with("limit", limit), AgentPage.class);
    }

    /**
     * Registers an agent.
     *
     * @param agent which
     * @return the agent
     * @throws ApiException when the IdP refuses
     */
    public Agent create(NewAgent agent) {
        return Futures.await(createAsync(agent));
    }

    /**
     * The same without blocking.
     *
     * @param agent which
     * @return the agent
     */
    public CompletableFuture<Agent> createAsync(NewAgent agent) {
        return caller.json(Call.post("/api/v1/agents", agent), Agent.class);
    }

    /**
     * Gets one agent.
     *
     * @param agentId which
     * @return the agent
     * @throws ApiException when the IdP refuses
     */
    public Agent get(String agentId) {
        return Futures.await(getAsync(agentId));
    }

    /**
     * The same without blocking.
     *
     * @param agentId which
     * @return the agent
     */
    public CompletableFuture<Agent> getAsync(String agentId) {
        return caller.json(Call.get(path(agentId)), Agent.class);
    }

    /**
     * Changes members of an agent. Not repeated when it fails.
     *
     * @param agentId which
     * @param patch what
     * @return the agent after the change
     * @throws ApiException when the IdP refuses
     */
    public Agent update(String agentId, AgentPatch patch) {
        return Futures.await(updateAsync(agentId, patch));
    }

    /**
     * The same without blocking.
     *
     * @param agentId which
     * @param patch what
     * @return the agent after the change
     */
    public CompletableFuture<Agent> updateAsync(String agentId, AgentPatch patch) {
        return caller.json(Call.patch(path(agentId), patch), Agent.class);
    }

    /**
     * Kills the agent's live tokens; it gets no others until it is reactivated.
     *
     * @param agentId which
     * @param reason for the audit log
     * @return the agent after the change
     * @throws ApiException when the IdP refuses
     */
    public Agent suspend(String agentId, String reason) {
        return Futures.await(suspendAsync(agentId, reason));
    }

    /**
     * The same without blocking.
     *
     * @param agentId which
     * @param reason for the audit log
     * @return the agent after the change
     */
    public CompletableFuture<Agent> suspendAsync(String agentId, String reason) {
        return updateAsync(agentId, status(AgentStatus.SUSPENDED, reason));
    }

    /**
     * Lets a suspended agent get tokens again.
     *
     * @param agentId which
     * @param reason for the audit log
     * @return the agent after the change
     * @throws ApiException when the IdP refuses
     */
    public Agent reactivate(String agentId, String reason) {
        return Futures.await(reactivateAsync(agentId, reason));
    }

    /**
     * The same without blocking.
     *
     * @param agentId which
     * @param reason for the audit log
     * @return the agent after the change
     */
    public CompletableFuture<Agent> reactivateAsync(String agentId, String reason) {
        return updateAsync(agentId, status(AgentStatus.ACTIVE, reason));
    }

    /**
     * Final: live tokens and credentials die, the record stays.
     *
     * @param agentId which
     * @param reason for the audit log; may be null
     * @throws ApiException when the IdP refuses
     */
    public void decommission(String agentId, String reason) {
        Futures.await(decommissionAsync(agentId, reason));
    }

    /**
     * The same without blocking.
     *
     * @param agentId which
     * @param reason for the audit log; may be null
     * @return done when it is done
     */
    public CompletableFuture<Void> decommissionAsync(String agentId, String reason) {
        return caller.nothing(Call.delete(path(agentId)).with("reason", reason));
    }

    /**
     * What the agent used of its quota.
     *
     * @param agentId which
     * @return of this month
     * @throws ApiException when the IdP refuses
     */
    public Usage usage(String agentId) {
        return Futures.await(usageAsync(agentId));
    }

    /**
     * The same without blocking.
     *
     * @param agentId which
     * @return of this month
     */
    public CompletableFuture<Usage> usageAsync(String agentId) {
        return caller.json(Call.get(path(agentId) + "/usage"), Usage.class);
    }

    private static AgentPatch status(AgentStatus status, String reason) {
        AgentPatch.Builder patch = AgentPatch.builder().status(status);
        return (reason == null || reason.isEmpty() ? patch : patch.reason(reason)).build();
    }

    static String path(String agentId) {
        return "/api/v1/agents/" + Call.segment(agentId);
    }
}
