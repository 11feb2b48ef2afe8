package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Policy;
import io.github.sentryagent.agentidp.model.PolicyDecision;
import io.github.sentryagent.agentidp.model.PolicyInput;
import java.util.concurrent.CompletableFuture;

/** What decides. */
public final class Policies {
    private final Caller caller;

    Policies(Caller caller) {
        this.caller = caller;
    }

    /**
     * Gets the policy in force.
     *
     * @return the whole of it
     * @throws ApiException when the IdP refuses
     */
    public Policy get() {
        return Futures.await(getAsync());
    }

    /**
     * The same without blocking.
     *
     * @return the whole of it
     */
    public CompletableFuture<Policy> getAsync() {
        return caller.json(Call.get("/api/v1/policies"), Policy.class);
    }

    /**
     * What the policy in force would decide. It changes nothing, and is no authorization.
     *
     * @param input all that the policy sees
     * @return the decision
     * @throws ApiException when the IdP refuses
     */
    public PolicyDecision evaluate(PolicyInput input) {
        return Futures.await(evaluateAsync(input));
    }

    /**
     * The same without blocking.
     *
     * @param input all that the policy sees
     * @return the decision
     */
    public CompletableFuture<PolicyDecision> evaluateAsync(PolicyInput input) {
        return caller.json(Call.post("/api/v1/policies/evaluate", input), PolicyDecision.class);
    }
}
