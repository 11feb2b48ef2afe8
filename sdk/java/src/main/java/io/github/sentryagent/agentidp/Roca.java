package io.github.sentryagent.agentidp;

import java.math.BigInteger;

/** The fingerprint of the flawed generator of CVE-2017-15361; about one good modulus in 2^27 has it by chance. */
final class Roca {
    private static final int EXPONENT = 65537;
    /** The odd primes below 168 divide the primorial that the generator used for every key size. */
    private static final int[] PRIMES = {
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
        113, 127, 131, 137, 139, 149, 151, 157, 163, 167
    };

    private Roca() {}

    /** Whether modulo each of the primes it is a power of 65537. */
    static boolean marked(BigInteger modulus) {
        for (int prime : PRIMES) {
            if (!power(modulus.mod(BigInteger.valueOf(prime)).intValue(), prime)) {
                return false;
            }
        }
        return true;
    }

    private static boolean power(int residue, int prime) {
        int power = 1;
        for (int i = 0; i < prime; i++) {
            if (power == residue) {
                return true;
            }
            power = power * (EXPONENT % prime) % prime;
        }
        return false;
    }
}
