package token

import (
	"context"
	"testing"
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

// The strict reading alone: everything of Verify that is not the library's.
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
