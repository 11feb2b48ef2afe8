package token

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkVerify(b *testing.B) {
	v := loadVectors(b)
	verifier := v.verifier()
	good := seal(testKeys()[0], v.Header, v.Claims)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(context.Background(), good); err != nil {
			b.Fatal(err)
		}
	}
}

// What a refused token costs before the signature would be looked at.
func BenchmarkRefuse(b *testing.B) {
	v := loadVectors(b)
	verifier := v.verifier()
	bad := seal(testKeys()[0], v.Header, v.Claims) + "="
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(context.Background(), bad); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkSignature is the signature alone, with the modulus kept and as crypto/rsa does it.
func BenchmarkSignature(b *testing.B) {
	private := testKeys()[0]
	digest := sha256.Sum256([]byte("a message"))
	signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	require.NoError(b, err)
	kept := NewKey(&private.PublicKey)
	keys := map[string]*Key{"kept": {public: kept.public, modulus: kept.modulus}, "library": {public: &private.PublicKey}}
	if kept.wide != nil {
		keys["wide"] = kept
	}
	for name, key := range keys {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !key.Verify(digest, signature) {
					b.Fatal("refused")
				}
			}
		})
	}
}

// The strict reading alone: all of Verify but signature and clock.
func BenchmarkStrict(b *testing.B) {
	v := loadVectors(b)
	good := seal(testKeys()[0], v.Header, v.Claims)
	b.ReportAllocs()
	for b.Loop() {
		parts, err := split(good, MaxLength)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := parseHeader(parts.header, Type); err != nil {
			b.Fatal(err)
		}
		var set claimSet
		if err := set.read(parts.payload); err != nil {
			b.Fatal(err)
		}
	}
}
