package drill_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// since is what was done after the backup, to agents that it knows.
type since struct {
	rotated, withdrawn, suspended *life
	secret                        string // that the rotation gave
	token                         string // revoked
}

// changeSince makes such changes, with a key that is revoked as stolen.
func changeSince(t *testing.T, c *client, known []*life) (s since) {
	t.Helper()
	var good []*life
	for _, one := range known {
		if one.end == active {
			good = append(good, one)
		}
	}
	require.GreaterOrEqual(t, len(good), 3)
	s.rotated, s.withdrawn, s.suspended = good[0], good[1], good[2]
	status, token := c.tokenOf(t, s.rotated.clientID, s.rotated.secret, "")
	require.Equal(t, http.StatusOK, status)
	s.token = token
	c.must(t, request{method: http.MethodPost, path: "/api/v1/token/revoke", body: "token=" + token, authorization: basic(s.rotated.clientID, s.rotated.secret)})
	s.secret = s.cut(t, c)
	c.must(t, request{method: http.MethodPost, path: "/api/v1/keys/rotate", body: `{"emergency":true}`})
	return s
}

// cut rotates, withdraws and suspends; also once more after a restore.
func (s since) cut(t *testing.T, c *client) (secret string) {
	t.Helper()
	credential := func(l *life) string { return "/api/v1/agents/" + l.agent + "/credentials/" + l.credential }
	rotated := c.must(t, request{method: http.MethodPost, path: credential(s.rotated) + "/rotate", body: "{}"})
	c.must(t, request{method: http.MethodDelete, path: credential(s.withdrawn) + "?revokeTokens=true"})
	c.must(t, request{method: http.MethodPatch, path: "/api/v1/agents/" + s.suspended.agent, body: `{"status":"suspended"}`})
	return rotated.member("clientSecret")
}

// aftermath asks what is so after a restore. Each fact is asked of all replicas.
type aftermath struct {
	*testing.T
	clients []*client
	facts   int
}

func (a *aftermath) refused(clientID, secret string) {
	a.Helper()
	for _, c := range a.clients {
		status, _ := c.tokenOf(a.T, clientID, secret, "")
		require.Contains(a, []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, status)
	}
	a.facts++
}

func (a *aftermath) served(clientID, secret string) {
	a.Helper()
	for _, c := range a.clients {
		status, token := c.tokenOf(a.T, clientID, secret, "")
		require.Equal(a, http.StatusOK, status)
		require.True(a, c.active(a.T, token))
	}
	a.facts++
}

func (a *aftermath) dead(tokens ...string) {
	a.Helper()
	for _, token := range tokens {
		for _, c := range a.clients {
			require.False(a, c.active(a.T, token))
		}
		a.facts++
	}
}

// as holds an agent against what was told of it before the backup.
func (a *aftermath) as(one *life) {
	a.Helper()
	got := a.clients[0].must(a.T, request{method: http.MethodGet, path: "/api/v1/agents/" + one.agent})
	require.Equal(a, one.end.status(), got.member("status"))
	a.refused(one.clientID, one.old)
	if one.end == active {
		a.served(one.clientID, one.secret)
	} else {
		a.refused(one.clientID, one.secret)
	}
	a.dead(one.token, one.revoked)
}

// holds an agent against what was told of it, when nothing was restored.
func (a *aftermath) holds(one *life) {
	a.Helper()
	got := a.clients[0].must(a.T, request{method: http.MethodGet, path: "/api/v1/agents/" + one.agent})
	require.Equal(a, one.end.status(), got.member("status"))
	a.refused(one.clientID, one.old)
	a.dead(one.revoked)
	switch one.end {
	case active:
		a.served(one.clientID, one.secret)
		require.True(a, a.clients[0].active(a.T, one.token))
	case withdrawn:
		a.refused(one.clientID, one.secret)
	case suspended, decommissioned:
		a.refused(one.clientID, one.secret)
		a.dead(one.token)
	}
}

// gone is an agent that was made after the backup.
func (a *aftermath) gone(one *life) {
	a.Helper()
	got, err := a.clients[0].do(request{method: http.MethodGet, path: "/api/v1/agents/" + one.agent})
	require.NoError(a, err)
	require.Equal(a, http.StatusNotFound, got.status)
	a.refused(one.clientID, one.secret)
	a.dead(one.token)
}

// again does what the command told to do again, and then it is so.
func (a *aftermath) again(s since) {
	a.Helper()
	a.refused(s.rotated.clientID, s.secret)
	secret := s.cut(a.T, a.clients[len(a.clients)-1])
	a.served(s.rotated.clientID, secret)
	for _, one := range []*life{s.rotated, s.withdrawn, s.suspended} {
		a.refused(one.clientID, one.secret)
	}
}

var (
	restoredLine = regexp.MustCompile(`(?m)^restored: ((\d+) events, root (\S+))$`)
	lostLine     = regexp.MustCompile(`(?m)^lost: at least (\d+) events, from (\d+) to (\d+)$`)
)

// named wants the restore to say what it put back and what was lost, in print
// and in the log. size is what a checkpoint kept elsewhere covers.
func (a *aftermath) named(printed string, size int64) (events int64) {
	a.Helper()
	restored, lost := restoredLine.FindStringSubmatch(printed), lostLine.FindStringSubmatch(printed)
	require.NotNil(a, restored, printed)
	require.NotNil(a, lost, printed)
	events, last := number(a, restored[2]), number(a, lost[3])
	require.Equal(a, events, number(a, lost[2]))
	require.Equal(a, last-events+1, number(a, lost[1]))
	require.GreaterOrEqual(a, last+1, size, "as much as the checkpoint knows of")
	for _, again := range []string{"revoked or rotated: their old secrets work again", "suspended, decommissioned or lost capabilities: they are as they were", "that were made: they are gone"} {
		require.Contains(a, printed, again)
	}
	var list struct {
		Data []struct {
			Metadata struct {
				Events, KnownEvents int64
				Root                string
			}
		}
	}
	got := a.clients[0].must(a.T, request{method: http.MethodGet, path: "/api/v1/audit?action=store.restored"})
	require.NoError(a, json.Unmarshal(got.body, &list))
	require.Len(a, list.Data, 1)
	told := list.Data[0].Metadata
	require.Equal(a, []any{events, last + 1, restored[3]}, []any{told.Events, told.KnownEvents, told.Root})
	a.facts++
	return events
}

func number(t require.TestingT, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

// sequence of the newest event.
func sequence(t *testing.T, c *client) int64 {
	t.Helper()
	var list struct{ Data []struct{ Sequence int64 } }
	got := c.must(t, request{method: http.MethodGet, path: "/api/v1/audit?limit=1"})
	require.NoError(t, json.Unmarshal(got.body, &list))
	require.NotEmpty(t, list.Data)
	return list.Data[0].Sequence
}

var validLine = regexp.MustCompile(`(?m)^valid: (\d+) events`)

// verified counts the events of a log that is valid, and agrees with a checkpoint kept elsewhere if one is named.
func verified(t *testing.T, p *idp, checkpoint string) (events int64) {
	t.Helper()
	if checkpoint != "" {
		checkpoint = " --checkpoint " + checkpoint
	}
	printed := p.sh("agentidp audit verify --offline" + checkpoint)
	found := validLine.FindStringSubmatch(printed)
	require.NotNil(t, found, printed)
	return number(t, found[1])
}
