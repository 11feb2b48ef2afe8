package io.github.sentryagent.agentidp;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSSigner;
import com.nimbusds.jose.crypto.ECDSASigner;
import com.nimbusds.jose.crypto.RSASSASigner;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Date;
import java.util.UUID;

/** A private key that signs client assertions: RS256 with RSA of 2048 to 4096 bits, ES256 with P-256. */
final class AssertionKey {
    private static final Duration LIFE = Duration.ofSeconds(60);
    private static final String BEGIN = "-----BEGIN PRIVATE KEY-----";
    private static final String END = "-----END PRIVATE KEY-----";

    private final JWSSigner signer;
    private final JWSHeader header;

    private AssertionKey(JWSSigner signer, JWSAlgorithm algorithm, String keyId) {
        this.signer = signer;
        this.header = new JWSHeader.Builder(algorithm)
                .type(JOSEObjectType.JWT)
                .keyID(keyId)
                .build();
    }

    /**
     * Reads PKCS #8 in PEM.
     *
     * @param keyId null: the RFC 7638 thumbprint
     * @throws IllegalArgumentException saying what the key must be, never a part of it
     */
    static AssertionKey parse(String pem, String keyId) {
        byte[] der = der(pem.strip());
        try {
            PrivateKey key = privateKey(der);
            if (key instanceof RSAPrivateCrtKey rsa) {
                return rsa(rsa, keyId);
            }
            if (key instanceof ECPrivateKey ec) {
                return ec(ec, der, keyId);
            }
        } catch (GeneralSecurityException | JOSEException e) {
            // told below, without what the library says of the key
        }
        throw new IllegalArgumentException("must be PKCS #8, RSA or EC");
    }

    JWSAlgorithm algorithm() {
        return header.getAlgorithm();
    }

    String keyId() {
        return header.getKeyID();
    }

    private static AssertionKey rsa(RSAPrivateCrtKey key, String keyId) throws JOSEException, GeneralSecurityException {
        int bits = key.getModulus().bitLength();
        if (bits < 2048 || bits > 4096) {
            throw new IllegalArgumentException("must have 2048 to 4096 bits, not " + bits);
        }
        String kid = keyId;
        if (kid == null) {
            RSAPublicKey half = (RSAPublicKey) KeyFactory.getInstance("RSA")
                    .generatePublic(new RSAPublicKeySpec(key.getModulus(), key.getPublicExponent()));
            kid = new RSAKey.Builder(half).build().computeThumbprint().toString();
        }
        return new AssertionKey(new RSASSASigner(key), JWSAlgorithm.RS256, kid);
    }

    private static AssertionKey ec(ECPrivateKey key, byte[] der, String keyId) throws JOSEException {
        if (!EcPublicHalf.isP256(key)) {
            throw new IllegalArgumentException("must be on the curve P-256");
        }
        String kid = keyId;
        if (kid == null) {
            kid = EcPublicHalf.of(key, der)
                    .orElseThrow(() -> new IllegalArgumentException(
                            "has no public half in its file: its kid (AGENTIDP_KEY_ID) must be named"))
                    .computeThumbprint()
                    .toString();
        }
        return new AssertionKey(new ECDSASigner(key), JWSAlgorithm.ES256, kid);
    }

    private static byte[] der(String pem) {
        if (!pem.startsWith(BEGIN) || !pem.endsWith(END)) {
            throw new IllegalArgumentException("must be PKCS #8 in PEM");
        }
        try {
            return Base64.getMimeDecoder().decode(pem.substring(BEGIN.length(), pem.length() - END.length()));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("must be PKCS #8 in PEM");
        }
    }

    private static PrivateKey privateKey(byte[] der) throws GeneralSecurityException {
        PKCS8EncodedKeySpec spec = new PKCS8EncodedKeySpec(der);
        try {
            return KeyFactory.getInstance("RSA").generatePrivate(spec);
        } catch (GeneralSecurityException e) {
            return KeyFactory.getInstance("EC").generatePrivate(spec);
        }
    }

    /** A JWT that is good for one answer, within a minute. */
    String assertion(String clientId, String issuer, Instant now) {
        JWTClaimsSet claims = new JWTClaimsSet.Builder()
                .issuer(clientId)
                .subject(clientId)
                .audience(issuer)
                .issueTime(Date.from(now))
                .expirationTime(Date.from(now.plus(LIFE)))
                .jwtID(UUID.randomUUID().toString() + UUID.randomUUID())
                .build();
        SignedJWT assertion = new SignedJWT(header, claims);
        try {
            assertion.sign(signer);
        } catch (JOSEException e) {
            throw new AgentIdpException("the client assertion cannot be signed", e);
        }
        return assertion.serialize();
    }
}
