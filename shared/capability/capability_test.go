package capability_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/capability"
)

func TestParse(t *testing.T) {
	for _, good := range []string{"notes:read", "*:*", "notes:*", "*:read", "a/b.c_d-e:x", "0:9", "n:" + strings.Repeat("a", 126)} {
		c, err := capability.Parse(good)
		require.NoError(t, err, good)
		require.Equal(t, good, string(c))
	}
	for _, bad := range []string{"", ":", "notes", "notes:", ":read", "Notes:read", "notes:read:x", "no*:read", "notes:re ad", "-a:b", "a:.b", "nötes:read", "n:" + strings.Repeat("a", 127)} {
		_, err := capability.Parse(bad)
		require.ErrorIs(t, err, capability.ErrSyntax, bad)
	}
}

func TestCovers(t *testing.T) {
	covers := func(held, wanted string, want bool) {
		t.Helper()
		require.Equal(t, want, capability.Capability(held).Covers(capability.Capability(wanted)), "%s covers %s", held, wanted)
	}
	covers("notes:read", "notes:read", true)
	covers("notes:*", "notes:read", true)
	covers("notes:read", "notes:*", false)
	covers("*:read", "notes:read", true)
	covers("*:read", "notes:write", false)
	covers("*:*", "notes:read", true)
	covers("*:*", "agents:read", false)
	covers("*:read", "audit:read", false)
	covers("agents:*", "agents:read", true)
	covers("agents:*", "audit:read", false)
	covers("", "notes:read", false)
	covers("notes:read", "", false)
	covers("*:*", "", false)
}

func TestSet(t *testing.T) {
	set, err := capability.ParseScope("notes:write agents:read notes:write")
	require.NoError(t, err)
	require.Equal(t, "agents:read notes:write", set.String())
	require.Equal(t, capability.Set{"agents:read"}, set.Reserved())
	require.True(t, set.Covers("notes:write"))
	require.Equal(t, capability.Set{"notes:read"}, set.Missing(capability.Set{"notes:read", "notes:write"}))

	_, err = capability.ParseScope("notes:read  notes:write")
	require.ErrorIs(t, err, capability.ErrSyntax)
	require.Len(t, capability.ReservedAll(), 10)
	require.True(t, capability.ReservedAll().Covers("keys:write"))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"notes:read", "*:*", "a:b:c", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := capability.Parse(s)
		if err != nil {
			return
		}
		require.Equal(t, s, c.Resource()+":"+c.Action())
		require.True(t, c.Covers(c) || c.Resource() == capability.Wildcard)
		require.LessOrEqual(t, len(s), capability.MaxLength)
	})
}
