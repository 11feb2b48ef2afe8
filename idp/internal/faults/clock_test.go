package faults

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const tokenTTL = 5 * time.Minute

func offsetOf(t *testing.T, offset string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(offset)
	require.NoError(t, err)
	return d
}

// F13: the clock jumps under load. Half a minute breaks nothing; ten minutes
// make tokens refused with 401 at worst; a token past its exp is never good, and
// one that was revoked stays so.
func TestF13ClockJumps(t *testing.T) {
	clock := newClock(t)
	clock.set(t, "+0s")
	tr := newTrial(t, faultful, onSQLite(t), clock.env(), "AGENTIDP_TOKEN_TTL="+tokenTTL.String())
	tr.process.Start()
	load := tr.load()
	tr.flowing(20)
	accepted, now := 0, time.Duration(0)
	for _, offset := range pick([]string{"+30s", "-30s", "+10m", "-10m", "+0s"}, []string{"+30s", "-30s", "+0s", "+10m", "+0s", "-10m", "-20m", "+0s", "+1s", "+0s"}) {
		v := prepare(t, tr.client, revoke)
		var spared string
		insist(t, func() (d deed) { d, spared = tr.client.issue(v.holder); return d })
		insist(t, func() deed { return tr.client.revoke(v.holder, v.token) })
		before := tr.ledger.count(func(*deed) bool { return true })
		begun, next := time.Now(), offsetOf(t, offset)
		if next-now >= tokenTTL {
			load.stop() // a token that expires between its issue and its revocation is not revoked (RFC 7009 section 2.2)
		}
		clock.set(t, offset)
		if next-now >= tokenTTL {
			load = tr.load()
		}
		now = next
		tr.flowing(10)
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
		for _, token := range []string{v.token, spared} {
			if active := tr.client.known(t, token); active && (token == v.token || offset == "+10m") {
				accepted++
			}
		}
		for _, d := range tr.ledger.all()[before:] {
			small := offset == "+30s" || offset == "-30s"
			require.True(t, d.told == yes || d.excused() || !small && d.status == http.StatusUnauthorized, "%s: %+v", offset, d)
		}
	}
	load.stop()
	require.Empty(t, tr.wrong())
	figures := tr.close()
	figures.extra = "wrong_accepts=" + itoa(accepted)
	report(t, "F13", figures)
	require.Zero(t, accepted)
}

// A token whose iat lies ahead after the clock went back can still be revoked:
// it will be good again when the clock has caught up.
func TestF13RevokedWhileTheClockIsBack(t *testing.T) {
	clock := newClock(t)
	clock.set(t, "+0s")
	tr := newTrial(t, faultful, onSQLite(t), clock.env())
	tr.process.Start()
	v := prepare(t, tr.client, revoke)
	clock.set(t, "-10m")
	d := tr.client.revoke(v.holder, v.token)
	clock.set(t, "+0s")
	active := tr.client.known(t, v.token)
	tr.figures.runs, tr.figures.extra = 1, "clock back while a token is revoked"
	if d.told == yes && active {
		tr.figures.lost = append(tr.figures.lost, "the token was revoked with 200 and is active")
	}
	tr.process.Stop()
	tr.process.verify()
	report(t, "F13", tr.figures)
}
