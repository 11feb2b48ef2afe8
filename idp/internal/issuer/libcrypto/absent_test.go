//go:build !libcrypto

package libcrypto_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/issuer/libcrypto"
)

func TestAbsent(t *testing.T) {
	require.False(t, libcrypto.Available)
	_, err := libcrypto.Open(nil)
	require.ErrorContains(t, err, "not in this binary")
}

// The tests of the other half, and the issuer's with it, need cgo and OpenSSL's headers.
func TestWithTag(t *testing.T) {
	test := exec.Command("go", "test", "-count=1", "-tags=libcrypto", ".", "..")
	test.Env = append(test.Environ(), "CGO_ENABLED=1")
	output, err := test.CombinedOutput()
	require.NoError(t, err, "%s\n(on Debian: apt-get install gcc libc6-dev libssl-dev)", output)
}
