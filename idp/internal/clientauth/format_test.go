package clientauth_test

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

const base62Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func TestNewClientID(t *testing.T) {
	counts := map[rune]int{}
	seen := map[string]bool{}
	const rounds = 4000
	for range rounds {
		id := clientauth.NewClientID()
		require.Regexp(t, `^aidp_c_[0-9A-Za-z]{22}$`, id)
		require.False(t, seen[id])
		seen[id] = true
		for _, c := range id[7:] {
			counts[c]++
		}
	}
	require.Len(t, counts, 62)
	expected := float64(rounds*22) / 62
	chi := 0.0
	for _, n := range counts {
		chi += math.Pow(float64(n)-expected, 2) / expected
	}
	require.Less(t, chi, 130.0, "61 degrees of freedom: more than this once in a million runs")
}

func TestNewSecret(t *testing.T) {
	seen := map[string]bool{}
	limit := new(big.Int).Lsh(big.NewInt(1), 256)
	for range 500 {
		secret := clientauth.NewSecret()
		require.Regexp(t, `^aidp_sk_[0-9A-Za-z]{49}$`, secret)
		require.True(t, clientauth.CheckFormat(secret))
		require.False(t, seen[secret])
		seen[secret] = true
		n := new(big.Int)
		for _, c := range secret[8:51] {
			n.Mul(n, big.NewInt(62)).Add(n, big.NewInt(int64(strings.IndexRune(base62Digits, c))))
		}
		require.Negative(t, n.Cmp(limit), "256 bits")
	}
}

func TestCheckFormat(t *testing.T) {
	// Pinned, and as another CRC-32 computes it: scanners know this form.
	const known = "aidp_sk_0000000000000000000000000000000000000000000"
	good := known + "0S8N9i"
	require.True(t, clientauth.CheckFormat(good))
	for at := range good {
		other := byte('1')
		if good[at] == other {
			other = '2'
		}
		require.False(t, clientauth.CheckFormat(good[:at]+string(other)+good[at+1:]), "changed at %d", at)
	}
	for _, bad := range []string{"", good[1:], good + "0", good[:len(good)-1], strings.ToUpper(good), good[:56] + "\x00", good[:55] + "é", " " + good} {
		require.False(t, clientauth.CheckFormat(bad), "%q", bad)
	}
}

func FuzzCheckFormat(f *testing.F) {
	f.Add(clientauth.NewSecret())
	f.Add("aidp_sk_")
	f.Fuzz(func(t *testing.T, s string) {
		if clientauth.CheckFormat(s) {
			require.Regexp(t, `^aidp_sk_[0-9A-Za-z]{49}$`, s)
		}
	})
}
