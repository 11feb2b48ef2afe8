package httpx_test

import (
	"testing"

	"github.com/sentryagent/agentidp/shared/httpx"
)

func BenchmarkParseForm(b *testing.B) {
	body := []byte("grant_type=client_credentials&client_id=aidp_c_0123456789abcdefghijkl&client_secret=aidp_s_0123456789abcdefghijklmnopqrstuvwxyz" +
		"&scope=notes%3Aread+notes%3Awrite&resource=https%3A%2F%2Fnotes.example.com")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := httpx.ParseForm(body); err != nil {
			b.Fatal(err)
		}
	}
}
