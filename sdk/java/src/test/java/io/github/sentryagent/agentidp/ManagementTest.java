package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.sentryagent.agentidp.model.Agent;
import io.github.sentryagent.agentidp.model.AgentFilter;
import io.github.sentryagent.agentidp.model.AgentPage;
import io.github.sentryagent.agentidp.model.AgentPatch;
import io.github.sentryagent.agentidp.model.AgentStatus;
import io.github.sentryagent.agentidp.model.AuditEvent;
import io.github.sentryagent.agentidp.model.AuditPage;
import io.github.sentryagent.agentidp.model.AuthMethod;
import io.github.sentryagent.agentidp.model.CredentialStatus;
import io.github.sentryagent.agentidp.model.CredentialWithSecret;
import io.github.sentryagent.agentidp.model.EventFilter;
import io.github.sentryagent.agentidp.model.ExportFormat;
import io.github.sentryagent.agentidp.model.InclusionProof;
import io.github.sentryagent.agentidp.model.Introspection;
import io.github.sentryagent.agentidp.model.KeyStatus;
import io.github.sentryagent.agentidp.model.NewOrganization;
import io.github.sentryagent.agentidp.model.NewRevocation;
import io.github.sentryagent.agentidp.model.OrganizationPatch;
import io.github.sentryagent.agentidp.model.Outcome;
import io.github.sentryagent.agentidp.model.Plan;
import io.github.sentryagent.agentidp.model.Policy;
import io.github.sentryagent.agentidp.model.PolicyDecision;
import io.github.sentryagent.agentidp.model.PolicyInput;
import io.github.sentryagent.agentidp.model.RevocationPage;
import io.github.sentryagent.agentidp.model.RevocationType;
import io.github.sentryagent.agentidp.model.Stats;
import io.github.sentryagent.agentidp.model.StatsQuery;
import io.github.sentryagent.agentidp.model.StatsStep;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What an administrator does. */
class ManagementTest extends OnStage {
    @Test
    void managesAgents() {
        Agent agent = admin.agents()
                .create(newAgent("notes:read")
                        .metadata(Map.of("team", "talent"))
                        .build());
        assertEquals(Map.of("team", "talent"), agent.metadata());
        assertEquals(AgentStatus.ACTIVE, agent.status());
        assertEquals(agent, admin.agents().get(agent.agentId()));
        AgentFilter mine =
                AgentFilter.builder().search(agent.email()).owner("java").build();
        assertEquals(List.of(agent), admin.agents().list(mine).stream().toList());
        Agent changed = admin.agents()
                .update(
                        agent.agentId(),
                        AgentPatch.builder().version("1.1.0").metadata(null).build());
        assertEquals("1.1.0", changed.version());
        assertNull(changed.metadata());
        assertEquals(0, admin.agents().usage(agent.agentId()).tokensUsed());
        register("notes:read");
        AgentPage first = admin.agents().page(AgentFilter.ALL, null, 1);
        AgentPage second = admin.agents().page(AgentFilter.ALL, first.nextCursor(), 1);
        assertFalse(first.data().equals(second.data()));
        assertTrue(first.total() >= 2);
        ApiException taken = assertThrows(ApiException.class, () -> admin.agents()
                .create(newAgent().email(agent.email()).build()));
        assertEquals(ErrorCode.AGENT_ALREADY_EXISTS, taken.code());
        ApiException invalid = assertThrows(ApiException.class, () -> admin.agents()
                .create(newAgent("Not A Capability").build()));
        assertEquals(ErrorCode.VALIDATION_FAILED, invalid.code());
        assertEquals("capabilities[0]", invalid.details().fields().get(0).field());
        admin.agents().decommission(agent.agentId(), "over");
        assertEquals(
                AgentStatus.DECOMMISSIONED, admin.agents().get(agent.agentId()).status());
        ApiException none = assertThrows(
                ApiException.class, () -> admin.agents().get(UUID.randomUUID().toString()));
        assertEquals(404, none.status());
        assertEquals(ErrorCode.NOT_FOUND, none.code());
    }

    @Test
    void managesCredentialsAndTokens() {
        Registered agent = register("notes:read");
        String second = admin.credentials()
                .create(agent.agentId(), AuthMethod.CLIENT_SECRET, Instant.now().plus(Duration.ofDays(1)))
                .credentialId();
        assertEquals(2, admin.credentials().list(agent.agentId()).stream().count());
        admin.credentials().revoke(agent.agentId(), second, true, "over");
        assertTrue(admin.credentials().list(agent.agentId()).stream()
                .anyMatch(one -> one.credentialId().equals(second) && one.status() == CredentialStatus.REVOKED));
        String token = new TokenSource(agent.config()).token().value();
        Introspection state = admin.tokens().introspect(token);
        assertTrue(state.active());
        assertEquals(agent.agentId(), state.sub());
        assertEquals(List.of(stage.resource()), state.aud());
        admin.tokens().revoke(token, "over");
        assertFalse(admin.tokens().introspect(token).active());
        admin.tokens().revoke("unknown", null);
        CredentialWithSecret rotated =
                admin.credentials().rotate(agent.agentId(), agent.credential().credentialId(), Duration.ZERO);
        assertNotNull(rotated.clientSecret());
        TokenSource old = new TokenSource(agent.config());
        assertEquals(
                OAuthErrorCode.INVALID_CLIENT,
                assertThrows(ApiException.class, old::token).code());
    }

    @Test
    void readsTheAuditLog() throws Exception {
        Registered agent = register("notes:read");
        new TokenSource(agent.config()).token();
        EventFilter filter = EventFilter.builder()
                .agentId(agent.agentId())
                .action("token.issued")
                .outcome(Outcome.SUCCESS)
                .from(Instant.now().minus(Duration.ofHours(1)))
                .to(Instant.now().plus(Duration.ofHours(1)))
                .build();
        AuditEvent event = admin.audit().list(filter).stream().findFirst().orElseThrow();
        assertEquals(event, admin.audit().get(event.eventId()));
        AuditPage first = admin.audit().page(EventFilter.ALL, null, 2);
        assertEquals(2, first.data().size());
        AuditPage second = admin.audit().page(EventFilter.ALL, first.nextCursor(), 2);
        assertTrue(second.data().get(0).sequence() < first.data().get(1).sequence());
        List<Long> all = admin.audit().list(EventFilter.ALL).stream()
                .limit(250)
                .map(AuditEvent::sequence)
                .toList();
        assertEquals(
                all.stream().sorted((a, b) -> Long.compare(b, a)).distinct().toList(), all);
        InclusionProof proof = admin.audit().inclusionProof(event.sequence(), null);
        MessageDigest leaf = MessageDigest.getInstance("SHA-256");
        leaf.update((byte) 0);
        assertArrayEquals(
                Base64.getDecoder().decode(proof.leafHash()),
                leaf.digest(admin.audit().leaf(event.eventId())));
        assertEquals(1, admin.audit().consistencyProof(1, proof.treeSize()).firstSize());
        assertTrue(admin.audit().checkpoint().contains("/audit\n"));
    }

    @Test
    void managesTheRest() throws Exception {
        Stage.untilWell(admin); // its status lists may be behind for a moment
        assertFalse(admin.health().dependencies().isEmpty());
        assertEquals(KeyStatus.ACTIVE, admin.keys().list().data().get(0).status());
        assertEquals(KeyStatus.NEXT, admin.keys().rotate().status());
        assertEquals(1, admin.sidecars().list().stream().count());
        Registered agent = register("notes:read");
        new TokenSource(agent.config()).token();
        assertEquals(
                1,
                admin.revocations()
                        .preview(RevocationType.AGENT, agent.agentId())
                        .liveTokens());
        RevocationPage snapshot = admin.revocations().feed(null, Duration.ZERO);
        admin.revocations().create(new NewRevocation(RevocationType.AGENT, agent.agentId(), "incident"));
        RevocationPage news = admin.revocations().feed(snapshot.cursor(), Duration.ofSeconds(20));
        assertTrue(news.entries().stream().anyMatch(entry -> entry.id().equals(agent.agentId())));
        String tenant = "java-" + UUID.randomUUID();
        var created = admin.organizations()
                .create(NewOrganization.builder()
                        .organizationId(tenant)
                        .name("Java")
                        .plan(Plan.FREE)
                        .build());
        assertEquals(tenant, created.administrator().organizationId());
        admin.organizations()
                .update(tenant, OrganizationPatch.builder().name("Other").build());
        assertEquals("Other", admin.organizations().get(tenant).name());
        assertEquals(1, admin.organizations().usage(tenant).agentsUsed());
        assertTrue(admin.organizations().list().stream()
                .anyMatch(one -> one.organizationId().equals(tenant)));
    }

    @Test
    void followsTheAuditLog() throws Exception {
        Registered agent = register("notes:read");
        EventFilter filter =
                EventFilter.builder().targetAgentId(agent.agentId()).build();
        Duration every = Duration.ofMillis(50);
        BlockingQueue<String> actions = new LinkedBlockingQueue<>();
        CompletableFuture<Void> followed =
                admin.audit().tailAsync(filter, 100, every, event -> actions.add(event.action()));
        Stream<AuditEvent> events = admin.audit().tail(filter, 1, every);
        Iterator<AuditEvent> each = events.iterator();
        long last = each.next().sequence();
        admin.agents().suspend(agent.agentId(), "incident");
        AuditEvent suspended = each.next();
        assertTrue(suspended.sequence() > last);
        assertEquals("agent.suspended", suspended.action());
        CompletableFuture<Boolean> more = CompletableFuture.supplyAsync(each::hasNext);
        events.close();
        assertFalse(more.join());
        while (!actions.take().equals("agent.suspended")) {
            assertFalse(followed.isDone());
        }
        assertTrue(followed.cancel(true));
        admin.audit().tail(filter).close();
    }

    @Test
    void exportsTheAuditLog() throws Exception {
        AuditEvent event =
                admin.audit().list(EventFilter.ALL).stream().findFirst().orElseThrow();
        ByteArrayOutputStream kept = new ByteArrayOutputStream();
        Stage.eventually("the checkpoint holds the event", () -> {
            kept.reset();
            try {
                admin.audit().export(ExportFormat.NDJSON, EventFilter.ALL, kept);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return kept.toString(StandardCharsets.UTF_8).contains(event.eventId());
        });
        assertTrue(kept.toString(StandardCharsets.UTF_8).startsWith("{\"export\":{"));
        try (Stream<String> lines = admin.audit().exportLines(EventFilter.ALL)) {
            assertTrue(lines.anyMatch(line -> line.contains(event.eventId())));
        }
        EventFilter hour = EventFilter.builder()
                .from(Instant.now().minus(Duration.ofHours(1)))
                .build();
        Path file = folder.resolve("log.csv");
        admin.audit().exportAsync(ExportFormat.CSV, hour, file).join();
        assertTrue(Files.readString(file).startsWith("eventId,sequence,"));
        try (InputStream whole = admin.audit().export(ExportFormat.CSV, hour)) {
            assertTrue(new String(whole.readAllBytes(), StandardCharsets.UTF_8).contains(event.eventId()));
        }
    }

    @Test
    void asksThePolicyAndCounts() {
        Policy policy = admin.policies().get();
        assertEquals(Policy.Source.BUILT_IN, policy.source());
        assertFalse(policy.files().isEmpty());
        PolicyInput.Route route = new PolicyInput.Route("/notes", "notes:read");
        PolicyInput.Agent caller = new PolicyInput.Agent("a", "default", null);
        PolicyDecision allowed = admin.policies().evaluate(PolicyInput.of(caller, List.of("notes:read"), route));
        assertTrue(allowed.allow(), allowed.toString());
        assertEquals(policy.revision(), allowed.revision());
        PolicyInput message = new PolicyInput(
                caller,
                new PolicyInput.Token(null, null, List.of("notes:write"), null),
                new PolicyInput.Request("POST", null, "/mcp", null),
                route,
                new PolicyInput.Rpc(PolicyInput.Protocol.MCP, "tools/call", "echo"));
        assertFalse(admin.policies().evaluate(message).allow());

        new TokenSource(register("notes:read").config()).token();
        Instant now = Instant.now();
        Stats stats = admin.stats(new StatsQuery(StatsStep.MINUTE, now.minus(Duration.ofMinutes(30)), null, null));
        assertEquals(StatsStep.MINUTE, stats.step());
        assertTrue(stats.totals().stream()
                .anyMatch(count -> count.action().equals("token.issued")
                        && count.outcome() == Outcome.SUCCESS
                        && count.count() > 0));
        assertTrue(stats.now().agents().active() > 0);
        assertTrue(stats.now().tokensThisMonth() > 0);
        Stats own = admin.stats(new StatsQuery(null, null, now.plusSeconds(60), "default"));
        assertEquals("default", own.organizationId());
        assertEquals(StatsStep.HOUR, admin.stats(StatsQuery.DEFAULT).step());
        assertEquals(0, admin.sidecars().list("nobody").stream().count());
    }
}
