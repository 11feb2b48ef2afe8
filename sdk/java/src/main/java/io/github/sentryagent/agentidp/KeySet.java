package io.github.sentryagent.agentidp;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jose.util.Base64URL;
import java.math.BigInteger;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Keys that can verify RS256, by kid. Keys of a document that cannot, or should not, are passed over. Of several keys
 * with one kid only the first counts, even if that one was passed over: a later key never takes over a name.
 */
final class KeySet {
    static final int MAX_DOCUMENT = 256 << 10;
    private static final int MIN_BITS = 2048;
    private static final int MAX_BITS = 4096;
    private static final String EXPONENT = "AQAB";
    private static final Set<String> PRIVATE = Set.of("d", "p", "q", "dp", "dq", "qi", "oth", "k");

    private final Map<String, JWSVerifier> keys;

    private KeySet(Map<String, JWSVerifier> keys) {
        this.keys = keys;
    }

    /** Null when there is none. */
    JWSVerifier find(String kid) {
        return keys.get(kid);
    }

    Set<String> kids() {
        return Set.copyOf(keys.keySet());
    }

    /** Reads a JWK set (RFC 7517 section 5). A document without any usable key is refused. */
    static KeySet parse(byte[] document) throws StrictJson.Malformed {
        if (!(StrictJson.object(document).get("keys") instanceof List<?> list)) {
            throw new StrictJson.Malformed("no array of keys");
        }
        Map<String, JWSVerifier> keys = new HashMap<>();
        Set<Object> names = new HashSet<>();
        for (Object element : list) {
            if (element instanceof Map<?, ?> jwk && names.add(jwk.get("kid"))) {
                JWSVerifier key = key(jwk);
                if (key != null) {
                    keys.put((String) jwk.get("kid"), key);
                }
            }
        }
        if (keys.isEmpty()) {
            throw new StrictJson.Malformed("no usable key");
        }
        return new KeySet(keys);
    }

    /** Null when it is not usable. */
    private static JWSVerifier key(Map<?, ?> jwk) {
        if (jwk.keySet().stream().anyMatch(PRIVATE::contains)
                || !"RSA".equals(jwk.get("kty"))
                || !absentOr(jwk, "use", "sig")
                || !absentOr(jwk, "alg", "RS256")
                || !mayVerify(jwk)
                || !(jwk.get("kid") instanceof String kid)
                || kid.isEmpty()
                || CompactJws.bytes(kid) > 128) {
            return null;
        }
        return jwk.get("n") instanceof String n && EXPONENT.equals(jwk.get("e")) ? rsa(n) : null;
    }

    private static boolean absentOr(Map<?, ?> jwk, String name, String value) {
        return !jwk.containsKey(name) || value.equals(jwk.get(name));
    }

    private static boolean mayVerify(Map<?, ?> jwk) {
        return !jwk.containsKey("key_ops")
                || jwk.get("key_ops") instanceof List<?> operations
                        && operations.contains("verify")
                        && operations.stream().allMatch(String.class::isInstance);
    }

    private static JWSVerifier rsa(String n) {
        if (!CompactJws.canonical(n)) {
            return null;
        }
        try {
            RSAKey key = new RSAKey.Builder(new Base64URL(n), new Base64URL(EXPONENT)).build();
            byte[] shortest = key.getModulus().decode();
            BigInteger modulus = key.getModulus().decodeToBigInteger();
            boolean fit = shortest.length > 0
                    && shortest[0] != 0
                    && modulus.bitLength() >= MIN_BITS
                    && modulus.bitLength() <= MAX_BITS
                    && modulus.testBit(0)
                    && !Roca.marked(modulus);
            return fit ? new RSASSAVerifier(key.toRSAPublicKey()) : null;
        } catch (JOSEException | IllegalArgumentException e) {
            return null;
        }
    }
}
