package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
)

// quiet is a run of twelve lines in which nothing goes wrong and nothing grows:
// caches fill during the first third, connections and collections come and go.
func quiet() *record {
	r := &record{started: time.Unix(1_800_000_000, 0), rates: capacity{tokens: 100, calls: 1000}, journal: newJournal([]disturbance{{name: "secret rotated"}})}
	r.done["secret rotated"] = 3
	tokens, calls := measured("tokens", 20*time.Millisecond), measured("calls", time.Millisecond)
	for i := range 12 {
		l := line{at: time.Duration(i+1) * 30 * time.Second, tokens: tokens, calls: calls, spool: 4 << 20}
		for p := range l.programs {
			l.programs[p] = state{RSS: int64(40+20*min(i, 4)+5*(i%2)) << 20, FDs: 30 + 3*(i%3), Goroutines: 60 + i%4}
		}
		r.lines = append(r.lines, l)
	}
	return r
}

func measured(name string, latency time.Duration) load.Result {
	r := load.NewResult(name)
	for range 1000 {
		r.Record(latency)
	}
	r.Scheduled, r.Target = 1000, 100
	return r
}

func judged(r *record) []result.Target { return r.judge(r.totals()) }

func missed(gates []result.Target) (names []string) {
	for _, g := range gates {
		if g.Verdict != result.OK {
			names = append(names, g.Name)
		}
	}
	return names
}

func TestAQuietRunHolds(t *testing.T) {
	require.Empty(t, missed(judged(quiet())))
	require.Equal(t, "soak requests=24000 errors=0 unsent=0 lost=0 token_p99=20.015ms api_p99=1ms revocation_max=0s"+
		" idp_rss_growth_kib=0 idp_fd_growth=0 idp_goroutine_growth=0 sidecar_rss_growth_kib=0 sidecar_fd_growth=0 sidecar_goroutine_growth=0", quiet().summary(quiet().totals()))
}

func TestEachGateIsMissedAlone(t *testing.T) {
	each := func(change func(i int, l *line)) func(*record) {
		return func(r *record) {
			for i := range r.lines {
				change(i, &r.lines[i])
			}
		}
	}
	for gate, spoil := range map[string]func(*record){
		"errors":                    func(r *record) { r.lines[3].calls.Errors = 1 },
		"requests not sent in time": func(r *record) { r.lines[3].tokens.Missed = 25 },
		"decisions lost":            func(r *record) { r.lost = 1 },
		"secret rotated":            func(r *record) { delete(r.done, "secret rotated") },
		"tokens p99":                func(r *record) { r.lines[0].tokens = measured("tokens", 101*time.Millisecond) },
		"calls p99":                 func(r *record) { r.lines[0].calls = measured("calls", 201*time.Millisecond) },
		// A fifth of a MiB a second; one descriptor and one goroutine too many with every line and more.
		"IdP memory growth":          each(func(i int, l *line) { l.programs[0].RSS += int64(9*i) << 20 }),
		"sidecar memory growth":      each(func(i int, l *line) { l.programs[1].RSS += int64(9*i) << 20 }),
		"IdP file descriptor growth": each(func(i int, l *line) { l.programs[0].FDs += 3 * i }),
		"sidecar goroutine growth":   each(func(i int, l *line) { l.programs[1].Goroutines += 3 * i }),
	} {
		t.Run(gate, func(t *testing.T) {
			r := quiet()
			spoil(r)
			require.Equal(t, []string{gate}, missed(judged(r)))
			require.ErrorContains(t, r.end(t.Context(), options{}), gate)
		})
	}
}

func TestAFailedDisturbanceIsAnError(t *testing.T) {
	r := quiet()
	r.add("token revoked", time.Now(), errors.New("a dead token: 200"))
	require.Equal(t, []string{"errors"}, missed(judged(r)))
	require.ErrorContains(t, r.end(t.Context(), options{}), "a dead token: 200")
	beside, failed := r.read()
	require.Contains(t, beside, "token revoked")
	require.Equal(t, 1, failed)
}

// What only breathes is no leak: the lowest has not risen.
func TestOnePeakIsNoGrowth(t *testing.T) {
	r := quiet()
	for i := 8; i < 11; i++ {
		r.lines[i].programs[1].FDs += 60
	}
	r.lines[9].programs[0].RSS += 1 << 30
	require.Empty(t, missed(judged(r)))
}

func TestTheFileCanBeReadAgain(t *testing.T) {
	r, name := quiet(), filepath.Join(t.TempDir(), "soak.json")
	require.NoError(t, r.end(t.Context(), options{json: name, every: 30 * time.Second}))
	f, err := result.ReadFile(name)
	require.NoError(t, err)
	require.Len(t, f.Targets, len(judged(r)))
	require.EqualValues(t, 360, f.Seconds)
	sidecar := f.Row("soak/sidecar")
	require.Len(t, sidecar.Rounds, 12)
	require.Equal(t, result.Sample{at: 30, result.RSS: 40 << 20, fds: 30, goroutines: 60, spool: 4 << 20}, sidecar.Rounds[0])
	require.NotContains(t, f.Row("soak/idp").Rounds[0], spool)
	tokens := f.Row("soak/tokens/rate=100")
	require.EqualValues(t, 1000, tokens.Rounds[11][result.Requests])
	require.NotEmpty(t, tokens.Histogram)
	var again bytes.Buffer
	require.NoError(t, f.Write(&again))
}

func TestSettingsThatMeanNothing(t *testing.T) {
	o, err := parse(nil)
	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, o.duration)
	for _, args := range [][]string{
		{"30m"}, {"-every", "1s"}, {"-duration", "2m"}, {"-load", "1"}, {"-load", "0"}, {"-rotate", "5s"}, {"-disturb", "5s"}, {"-calibrate", "1ms"},
	} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}
