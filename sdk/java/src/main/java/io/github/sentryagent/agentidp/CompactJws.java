package io.github.sentryagent.agentidp;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.util.Base64URL;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.Set;

/**
 * A JWS in compact serialization (RFC 7515 section 7.1) whose form and header were judged: RS256, the type asked for,
 * canonical base64url, no key of its own. The algorithm is never chosen by the token, and nothing in it is fetched (RFC
 * 8725 sections 3.1 and 3.10).
 */
record CompactJws(String signed, String payload, String signature, String kid) {
    static final int MAX_TOKEN = 8 << 10;
    private static final int MAX_HEADER = 2 << 10;
    private static final int MAX_KEY_ID = 128;
    private static final JWSHeader RS256 = new JWSHeader(JWSAlgorithm.RS256);
    private static final Set<String> FORBIDDEN = Set.of("crit", "b64", "zip", "jwk", "jku", "x5u", "x5c");
    private static final String ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    private static final byte[] VALUES = values();

    /**
     * Costs one pass over at most limit characters before anything is decoded.
     *
     * @param type the media type without {@code application/}
     */
    static CompactJws parse(String raw, String type, int limit) {
        if (raw.length() > limit) {
            throw refuse(RefusalReason.OVERSIZE, "longer than the bound");
        }
        int first = raw.indexOf('.');
        int last = raw.lastIndexOf('.');
        if (first < 0 || first == last || raw.indexOf('.', first + 1) != last) {
            throw refuse(RefusalReason.MALFORMED, "not exactly three segments");
        }
        String header = raw.substring(0, first);
        String payload = raw.substring(first + 1, last);
        String signature = raw.substring(last + 1);
        if (header.isEmpty() || signature.isEmpty()) {
            throw refuse(RefusalReason.MALFORMED, "empty segment");
        }
        if (!canonical(header) || !canonical(payload) || !canonical(signature)) {
            throw refuse(RefusalReason.MALFORMED, "segment is not canonical base64url");
        }
        return new CompactJws(raw.substring(0, last), payload, signature, judge(header, type));
    }

    /** The members of the payload. */
    Map<String, Object> claims() {
        return members(payload);
    }

    boolean signedBy(JWSVerifier key) {
        try {
            return key.verify(RS256, signed.getBytes(StandardCharsets.US_ASCII), new Base64URL(signature));
        } catch (JOSEException e) {
            return false;
        }
    }

    /** Returns the kid. */
    private static String judge(String segment, String type) {
        if (segment.length() > MAX_HEADER * 4 / 3) {
            throw refuse(RefusalReason.OVERSIZE, "header longer than the bound");
        }
        Map<String, Object> header = members(segment);
        if (!JWSAlgorithm.RS256.getName().equals(header.get("alg"))) {
            throw refuse(RefusalReason.ALGORITHM, "alg is not RS256");
        }
        if (header.keySet().stream().anyMatch(FORBIDDEN::contains)) {
            throw refuse(RefusalReason.CRITICAL_HEADER, "header has crit, b64, zip or a key");
        }
        if (!(header.get("typ") instanceof String typ) || !isType(typ, type)) {
            throw refuse(RefusalReason.TYPE_MISMATCH, "typ names another kind of token");
        }
        if (!(header.get("kid") instanceof String kid) || kid.isEmpty() || bytes(kid) > MAX_KEY_ID) {
            throw refuse(RefusalReason.MALFORMED, "kid must be a string of 1 to 128 bytes");
        }
        return kid;
    }

    private static Map<String, Object> members(String segment) {
        try {
            return StrictJson.object(Base64.getUrlDecoder().decode(segment));
        } catch (StrictJson.Malformed e) {
            throw refuse(RefusalReason.MALFORMED, e.getMessage());
        }
    }

    static int bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8).length;
    }

    /** Media types are compared in ASCII: of other letters, some have a case that is ASCII. */
    private static boolean isType(String got, String want) {
        String prefix = "application/";
        String lower = lower(got);
        return (lower.startsWith(prefix) ? lower.substring(prefix.length()) : lower).equals(want);
    }

    private static String lower(String text) {
        StringBuilder lower = new StringBuilder(text);
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if ('A' <= c && c <= 'Z') {
                lower.setCharAt(i, (char) (c + 'a' - 'A'));
            }
        }
        return lower.toString();
    }

    /**
     * Whether it is the one unpadded base64url spelling of its bytes: the URL alphabet only, a possible length, and zero
     * in the bits that the last character does not use.
     */
    static boolean canonical(String segment) {
        for (int i = 0; i < segment.length(); i++) {
            char c = segment.charAt(i);
            if (c >= VALUES.length || VALUES[c] < 0) {
                return false;
            }
        }
        return switch (segment.length() % 4) {
            case 1 -> false;
            case 2 -> (VALUES[segment.charAt(segment.length() - 1)] & 0x0f) == 0;
            case 3 -> (VALUES[segment.charAt(segment.length() - 1)] & 0x03) == 0;
            default -> true;
        };
    }

    private static byte[] values() {
        byte[] values = new byte[128];
        java.util.Arrays.fill(values, (byte) -1);
        for (int i = 0; i < ALPHABET.length(); i++) {
            values[ALPHABET.charAt(i)] = (byte) i;
        }
        return values;
    }

    private static TokenRefusedException refuse(RefusalReason reason, String detail) {
        return new TokenRefusedException(reason, detail);
    }
}
