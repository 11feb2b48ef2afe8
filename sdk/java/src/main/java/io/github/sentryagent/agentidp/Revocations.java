package io.github.sentryagent.agentidp;

import io.github.sentryagent.agentidp.model.NewRevocation;
import io.github.sentryagent.agentidp.model.RevocationEntry;
import io.github.sentryagent.agentidp.model.RevocationPage;
import io.github.sentryagent.agentidp.model.RevocationPreview;
import io.github.sentryagent.agentidp.model.RevocationType;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;

/** What is cut off. */
public final class Revocations {
    private final Caller caller;

    Revocations(Caller caller) {
        this.caller = caller;
    }

    /**
     * Cuts off an agent, credential, organization, key or token. Nothing is suspended: new tokens can be issued.
     *
     * @param revocation what
     * @return the entry of the feed
     * @throws ApiException when the IdP refuses
     */
    public RevocationEntry create(NewRevocation revocation) {
        return Futures.await(createAsync(revocation));
    }

    /**
     * The same without blocking.
     *
     * @param revocation what
     * @return the entry of the feed
     */
    public CompletableFuture<RevocationEntry> createAsync(NewRevocation revocation) {
        return caller.json(Call.post("/api/v1/revocations", revocation), RevocationEntry.class);
    }

    /**
     * Counts what a revocation would cut off. It changes nothing.
     *
     * @param type not of a token
     * @param id which
     * @return now
     * @throws ApiException when the IdP refuses
     */
    public RevocationPreview preview(RevocationType type, String id) {
        return Futures.await(previewAsync(type, id));
    }

    /**
     * The same without blocking.
     *
     * @param type not of a token
     * @param id which
     * @return now
     */
    public CompletableFuture<RevocationPreview> previewAsync(RevocationType type, String id) {
        Call call =
                Call.get("/api/v1/revocations/preview").with("type", type.name().toLowerCase(Locale.ROOT));
        return caller.json(call.with("id", id), RevocationPreview.class);
    }

    /**
     * What is new behind a cursor, as soon as there is something. Without a cursor, or with one of another feed, it is every live entry, whose signature is verified.
     *
     * @param after the cursor of the last answer; null: everything
     * @param wait at most 25 seconds; zero: not at all
     * @return the news
     * @throws ApiException when the IdP refuses
     */
    public RevocationPage feed(String after, Duration wait) {
        return Futures.await(feedAsync(after, wait));
    }

    /**
     * The same without blocking.
     *
     * @param after the cursor of the last answer; null: everything
     * @param wait at most 25 seconds; zero: not at all
     * @return the news
     */
    public CompletableFuture<RevocationPage> feedAsync(String after, Duration wait) {
        Call call = Call.get("/api/v1/revocations").with("after", after).accepting("*/*");
        long seconds = Math.min(wait.toSeconds(), LONGEST_WAIT);
        return caller.bytes(call.with("wait", seconds > 0 ? seconds : null)).thenCompose(this::read);
    }

    private static final long LONGEST_WAIT = 25;
    private static final String SNAPSHOT = "agentidp-revocations+jwt";
    private static final int MAX_SNAPSHOT = 16 << 20;

    private CompletableFuture<RevocationPage> read(byte[] body) {
        if (body.length > 0 && body[0] == '{') {
            return CompletableFuture.completedFuture(Json.read(body, RevocationPage.class));
        }
        CompactJws jws;
        try {
            jws = CompactJws.parse(new String(body, StandardCharsets.ISO_8859_1), SNAPSHOT, MAX_SNAPSHOT);
        } catch (TokenRefusedException e) {
            throw new InvalidAnswerException(
                    "no snapshot of the revocations: " + e.reason().code(), e);
        }
        return caller.bytes(Call.get("/.well-known/jwks.json").openly()).thenApply(keys -> open(jws, keys));
    }

    private static RevocationPage open(CompactJws jws, byte[] keys) {
        try {
            var key = KeySet.parse(keys).find(jws.kid());
            if (key != null && jws.signedBy(key)) {
                return Json.read(Base64.getUrlDecoder().decode(jws.payload()), RevocationPage.class);
            }
        } catch (StrictJson.Malformed e) {
            throw new InvalidAnswerException("no key set", e);
        }
        throw new InvalidAnswerException("the snapshot of the revocations is not signed by the IdP", null);
    }
}
