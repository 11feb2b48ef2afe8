package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// What was read before reads the same again; what was not makes no field.
func TestAgain(t *testing.T) {
	for _, block := range []string{
		"\r\n", "A: b\r\n\r\n", "A:b\r\nC-d: \t e f \t\r\nG:\r\nH: \r\nI: a:b: c\r\n\r\n", "X_y: \x80\xff\r\n\r\n",
	} {
		for first, second := []byte(block), []byte(block); ; {
			name, value, rest, why := guard.Next(first)
			require.Nil(t, why)
			sameName, sameValue, sameRest := guard.Again(second)
			require.Equal(t, string(name), string(sameName), "%q", block)
			if name == nil {
				require.Nil(t, sameName)
				break
			}
			require.Equal(t, string(value), string(sameValue), "%q", block)
			require.Equal(t, string(rest), string(sameRest), "%q", block)
			first, second = rest, sameRest
		}
	}
	for _, block := range []string{"", "\n", "x", "no colon\r\n", "a: b"} {
		name, _, _ := guard.Again([]byte(block))
		require.Nil(t, name, "%q", block)
	}
}
