package faults

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// F13: the clock jumps under load. Half a minute breaks nothing; ten minutes
// make tokens refused with 401 at worst; a token past its exp is never good, and
// one that was revoked stays so.
func TestF13ClockJumps(t *testing.T) {
	clock := newClock(t)
	clock.set(t, "+0s")
	tr := newTrial(t, faultful, onSQLite(t), clock.env(), "AGENTIDP_TOKEN_TTL=300s")
	tr.process.start()
	load := tr.load()
	tr.flowing(20)
	accepted := 0
	for _, offset := range pick([]string{"+30s", "-30s", "+10m", "-10m", "+0s"}, []string{"+30s", "-30s", "+0s", "+10m", "+0s", "-10m", "-20m", "+0s", "+1s", "+0s"}) {
		v := prepare(t, tr.client, revoke)
		var spared string
		insist(t, func() (d deed) { d, spared = tr.client.issue(v.holder); return d })
		insist(t, func() deed { return tr.client.revoke(v.holder, v.token) })
		before := tr.ledger.count(func(*deed) bool { return true })
		begun := time.Now()
		clock.set(t, offset)
		tr.flowing(10)
		tr.figures.downtime = max(tr.figures.downtime, time.Since(begun))
		tr.figures.runs++
		for _, token := range []string{v.token, spared} {
			active, ok := tr.client.active(token)
			require.True(t, ok)
			if active && (token == v.token || offset == "+10m") {
				accepted++
			}
		}
		for _, d := range tr.ledger.all()[before:] {
			small := offset == "+30s" || offset == "-30s"
			require.True(t, d.told == yes || d.shed() || !small && d.status == http.StatusUnauthorized, "%s: %+v", offset, d)
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
	tr.process.start()
	v := prepare(t, tr.client, revoke)
	clock.set(t, "-10m")
	d := tr.client.revoke(v.holder, v.token)
	clock.set(t, "+0s")
	active, ok := tr.client.active(v.token)
	require.True(t, ok)
	tr.figures.runs, tr.figures.extra = 1, "clock back while a token is revoked"
	if d.told == yes && active {
		tr.figures.lost = append(tr.figures.lost, "the token was revoked with 200 and is active")
	}
	tr.process.stop()
	tr.process.verify()
	report(t, "F13", tr.figures)
}
