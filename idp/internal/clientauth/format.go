// Package clientauth proves that a caller is the client it says it is: the
// form of client ids and secrets, how secrets rest, and the verification that
// costs a stranger and an impostor the same.
package clientauth

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
)

const (
	clientIDPrefix = "aidp_c_"
	secretPrefix   = "aidp_sk_"

	clientIDLength = 22 // characters after the prefix, 131 random bits
	randomLength   = 43 // characters that hold 256 bits: 62^43 > 2^256
	checksumLength = 6  // characters that hold 32 bits: 62^6 > 2^32

	digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewClientID makes a client id: aidp_c_ and 22 characters, all equally likely.
func NewClientID() string {
	id := append(make([]byte, 0, len(clientIDPrefix)+clientIDLength), clientIDPrefix...)
	const unbiased = 256 - 256%len(digits)
	for len(id) < cap(id) {
		var random [32]byte
		rand.Read(random[:])
		for _, b := range random {
			if int(b) < unbiased && len(id) < cap(id) {
				id = append(id, digits[int(b)%len(digits)])
			}
		}
	}
	return string(id)
}

// NewSecret makes a client secret: aidp_sk_, 256 random bits as a number of 43
// base-62 digits, and the CRC-32 of all that as 6 more, so that scanners can
// recognise a leaked one without asking.
func NewSecret() string {
	var random [32]byte
	rand.Read(random[:])
	body := secretPrefix + base62(new(big.Int).SetBytes(random[:]), randomLength)
	return body + checksum(body)
}

// CheckFormat reports whether secret has the form that NewSecret gives, its
// checksum included. It says nothing about whose it is.
func CheckFormat(secret string) bool {
	const body = len(secretPrefix) + randomLength
	if len(secret) != body+checksumLength || !strings.HasPrefix(secret, secretPrefix) {
		return false
	}
	if strings.Trim(secret[len(secretPrefix):], digits) != "" {
		return false
	}
	return checksum(secret[:body]) == secret[body:]
}

func checksum(body string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), checksumLength)
}

// base62 writes n with exactly width digits, most significant first.
func base62(n *big.Int, width int) string {
	out := make([]byte, width)
	base, digit := big.NewInt(int64(len(digits))), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = digits[digit.Int64()]
	}
	return string(out)
}
