// Package batchsign makes RSA-2048 signatures (RSASSA-PKCS1-v1_5 with SHA-256, RFC
// 8017 section 8.2) four at a time, in the eight lanes of AVX-512 IFMA: messages 0
// to 3 modulo p in lanes 0 to 3, and modulo q in lanes 4 to 7 (RFC 8017 section
// 5.2.1, the Chinese remainder form). It imports nothing of the product.
//
// # Numbers
//
// A number below 2^1040 is 20 digits of 52 bits, the lowest first: lanes[j][l] is
// digit j of lane l. R is 2^1040. Products are Montgomery's (Math. Comp. 44, 1985)
// without the last subtraction: of factors below 2m comes a product below 2m, as R
// is more than 4m (Walter, CT-RSA 2002). The kernels are as in Gueron and Krasnov,
// "Software implementation of modular exponentiation, using advanced vector
// instructions architectures" (WAIFI 2012), with one message in each lane instead
// of one across the lanes, so that no carry crosses a lane.
//
// # What an attacker could measure
//
// No branch, no address and no instruction count depends on a key, a message or a
// digit: exponents are read in 205 windows of five bits, of each the whole table is
// read and one entry kept by a mask, loops have fixed lengths, and corrections are
// masked. What goes into the exponentiation is blinded (Kocher, CRYPTO 1996) with a
// factor of each lane's own. What a pass leaves in memory and in registers is wiped.
//
// # What a fault could do
//
// One wrong half of a signature tells the key's primes (Boneh, DeMillo and Lipton,
// EUROCRYPT 1997). So no signature leaves before its e-th power was compared, modulo
// p and modulo q and with constants of the check's own, with the message made anew
// from the digest; and now and then crypto/rsa verifies one. Whatever differs is an
// error for the whole pass, never an answer.
//
// docs/batchsign.md has the bounds, the instructions, and what tests hold of this.
package batchsign
