package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.Health;
import io.github.sentryagent.agentidp.model.Stats;
import io.github.sentryagent.agentidp.model.StatsQuery;
import java.util.concurrent.CompletableFuture;

/**
 * Calls the management API. Safe for any number of threads. Every call blocks for at most a minute, retries
 * included, or is a future; what can be done twice without harm is repeated when the IdP is away.
 *
 * <pre>{@code
 * ManagementClient client = new ManagementClient(Config.fromEnvironment());
 * Agent agent = client.agents().get(id);
 * client.audit().list(EventFilter.ALL).stream().limit(10).forEach(System.out::println);
 * }</pre>
 */
public final class ManagementClient {
    private final Caller caller;
    private final TokenSource tokenSource;
    private final Agents agents;
    private final Credentials credentials;
    private final Tokens tokens;
    private final Audit audit;
    private final Revocations revocations;
    private final SigningKeys keys;
    private final Organizations organizations;
    private final Sidecars sidecars;
    private final Policies policies;

    /**
     * Calls nobody yet.
     *
     * @param config its resources are for other APIs and left out, its scopes bound what the client may do; without a
     *     credential the client can call what is public
     */
    public ManagementClient(Config config) {
        Config own = config.withResources();
        tokenSource = own.authentication().isPresent() ? new TokenSource(own) : null;
        caller = new Caller(own, tokenSource);
        agents = new Agents(caller);
        credentials = new Credentials(caller);
        tokens = new Tokens(caller);
        audit = new Audit(caller);
        revocations = new Revocations(caller);
        keys = new SigningKeys(caller);
        organizations = new Organizations(caller);
        sidecars = new Sidecars(caller);
        policies = new Policies(caller);
    }

    /**
     * Registered identities.
     *
     * @return the calls
     */
    public Agents agents() {
        return agents;
    }

    /**
     * What agents authenticate with.
     *
     * @return the calls
     */
    public Credentials credentials() {
        return credentials;
    }

    /**
     * Introspection and revocation of single tokens.
     *
     * @return the calls
     */
    public Tokens tokens() {
        return tokens;
    }

    /**
     * The tamper-evident log.
     *
     * @return the calls
     */
    public Audit audit() {
        return audit;
    }

    /**
     * What is cut off.
     *
     * @return the calls
     */
    public Revocations revocations() {
        return revocations;
    }

    /**
     * The keys that sign tokens.
     *
     * @return the calls
     */
    public SigningKeys keys() {
        return keys;
    }

    /**
     * Tenants.
     *
     * @return the calls
     */
    public Organizations organizations() {
        return organizations;
    }

    /**
     * Sidecars that report to the IdP.
     *
     * @return the calls
     */
    public Sidecars sidecars() {
        return sidecars;
    }

    /**
     * What decides.
     *
     * @return the calls
     */
    public Policies policies() {
        return policies;
    }

    /**
     * Counts what happened, by minute, hour or day, and what there is now. The counts are derived: the audit log is the
     * evidence.
     *
     * @param query which; at most 1,500 buckets
     * @return the counts
     * @throws ApiException when the IdP refuses
     */
    public Stats stats(StatsQuery query) {
        return Futures.await(statsAsync(query));
    }

    /**
     * The same without blocking.
     *
     * @param query which; at most 1,500 buckets
     * @return the counts
     */
    public CompletableFuture<Stats> statsAsync(StatsQuery query) {
        return caller.json(Call.get("/api/v1/stats").with(query.parameters()), Stats.class);
    }

    /**
     * The IdP's own judgement; that it cannot work is no failure of the call.
     *
     * @return what it says
     */
    public Health health() {
        return Futures.await(healthAsync());
    }

    /**
     * The same without blocking.
     *
     * @return what it says
     */
    public CompletableFuture<Health> healthAsync() {
        return caller.json(Call.get("/health").openly().taking(503), Health.class);
    }

    /** The source of the tokens that the calls carry; null without a credential. */
    TokenSource tokenSource() {
        return tokenSource;
    }

    Config config() {
        return caller.config();
    }
}
