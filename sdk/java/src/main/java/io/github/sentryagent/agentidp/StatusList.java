package io.github.sentryagent.agentidp;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.zip.InflaterInputStream;

/**
 * An edition of a Token Status List as the issuer signed it (draft-ietf-oauth-status-list section 5), one bit a token.
 *
 * @param freshUntil its time to live counts from when its fetch began
 * @param firmUntil a second time to live, during which it answers while the next edition is fetched
 */
record StatusList(byte[] bits, Instant freshUntil, Instant firmUntil, Instant expiresAt) {
    private static final int MAX_LIST = 1 << 20;
    private static final long DEFAULT_TTL = 15;
    private static final long LEAST_TTL = 1;

    /**
     * Reads the claims of one whose signature was verified.
     *
     * @param uri where it was fetched
     * @param now when the fetch began
     */
    static StatusList of(Map<String, Object> claims, String uri, Instant now) {
        if (!uri.equals(claims.get("sub")) || !(claims.get("exp") instanceof Long exp) || exp <= now.getEpochSecond()) {
            throw new InvalidAnswerException("the status list is another one, or has expired", null);
        }
        if (!(claims.get("status_list") instanceof Map<?, ?> list)
                || !Long.valueOf(1).equals(list.get("bits"))
                || !(list.get("lst") instanceof String packed)
                || !CompactJws.canonical(packed)) {
            throw new InvalidAnswerException("no status list of one bit a token", null);
        }
        Instant expiresAt = Instant.ofEpochSecond(exp);
        long left = Duration.between(now, expiresAt).toSeconds();
        long ttl = claims.get("ttl") instanceof Long seconds ? Math.max(seconds, LEAST_TTL) : DEFAULT_TTL;
        ttl = Math.min(ttl, left);
        return new StatusList(
                unpack(Base64.getUrlDecoder().decode(packed)),
                now.plusSeconds(ttl),
                now.plusSeconds(Math.min(2 * ttl, left)),
                expiresAt);
    }

    boolean fresh(Instant now) {
        return now.isBefore(freshUntil);
    }

    boolean firm(Instant now) {
        return now.isBefore(firmUntil);
    }

    boolean expired(Instant now) {
        return !now.isBefore(expiresAt);
    }

    /** Fails with token_revoked, or revocations_stale of a place beyond its end. */
    void judge(long index) {
        if (index / 8 >= bits.length) {
            throw RevocationCheck.stale(null);
        }
        if ((bits[(int) (index / 8)] >> (index % 8) & 1) != 0) {
            throw new TokenRefusedException(RefusalReason.TOKEN_REVOKED);
        }
    }

    private static byte[] unpack(byte[] packed) {
        try (InflaterInputStream in = new InflaterInputStream(new ByteArrayInputStream(packed))) {
            byte[] list = in.readNBytes(MAX_LIST + 1);
            if (list.length > MAX_LIST) {
                throw new InvalidAnswerException("the status list is larger than " + MAX_LIST + " bytes", null);
            }
            return list;
        } catch (IOException e) {
            throw new InvalidAnswerException("the status list is not zlib", e);
        }
    }
}
