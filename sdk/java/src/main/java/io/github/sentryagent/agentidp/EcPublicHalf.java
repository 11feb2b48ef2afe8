package io.github.sentryagent.agentidp;

import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.util.Base64URL;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Signature;
import java.security.interfaces.ECPrivateKey;
import java.util.Arrays;
import java.util.Optional;

/**
 * The public half of a P-256 key. The platform's reader of PKCS #8 drops it, so it is taken from where RFC 5915 has it,
 * at the end, and believed when it verifies what the private half signs.
 */
final class EcPublicHalf {
    /** [1] { BIT STRING of 66 bytes: no unused bits, an uncompressed point }. */
    private static final byte[] BEFORE_POINT = {(byte) 0xa1, 0x44, 0x03, 0x42, 0x00, 0x04};

    private static final int COORDINATE = 32;

    private EcPublicHalf() {}

    static boolean isP256(ECPrivateKey key) {
        return Curve.P_256.equals(Curve.forECParameterSpec(key.getParams()));
    }

    static Optional<ECKey> of(ECPrivateKey key, byte[] der) {
        int point = der.length - 2 * COORDINATE;
        int start = point - BEFORE_POINT.length;
        if (start < 0 || !Arrays.equals(BEFORE_POINT, Arrays.copyOfRange(der, start, point))) {
            return Optional.empty();
        }
        Base64URL x = Base64URL.encode(Arrays.copyOfRange(der, point, point + COORDINATE));
        Base64URL y = Base64URL.encode(Arrays.copyOfRange(der, point + COORDINATE, der.length));
        try {
            ECKey half = new ECKey.Builder(Curve.P_256, x, y).build();
            return belongs(half, key) ? Optional.of(half) : Optional.empty();
        } catch (IllegalArgumentException | IllegalStateException e) {
            return Optional.empty(); // not a point of the curve
        }
    }

    private static boolean belongs(ECKey half, ECPrivateKey key) {
        byte[] proof = "proof".getBytes(StandardCharsets.UTF_8);
        try {
            Signature signature = Signature.getInstance("SHA256withECDSA");
            signature.initSign(key);
            signature.update(proof);
            byte[] signed = signature.sign();
            signature.initVerify(half.toECPublicKey());
            signature.update(proof);
            return signature.verify(signed);
        } catch (GeneralSecurityException | com.nimbusds.jose.JOSEException e) {
            return false;
        }
    }
}
