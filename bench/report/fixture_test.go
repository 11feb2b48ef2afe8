package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sentryagent/agentidp/bench/result"
)

// lab makes up a run as it might look; the same each time.
type lab struct {
	random *rand.Rand
	file   *result.File
}

var made = sync.OnceValue(func() *result.File {
	l := &lab{random: rand.New(rand.NewPCG(1, 2)), file: &result.File{
		Schema: result.Schema, Started: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), Seconds: 613, Commit: "435308f",
		Machine:  result.Machine{CPU: "Intel(R) Xeon(R) Processor", Cores: 2, OS: "Debian 12", Kernel: "6.1.0", Go: "go1.26.8", Memory: 8 << 30},
		Settings: result.Settings{Store: "sqlite", Signer: "libcrypto OpenSSL 3.0.17", Rounds: 5, RoundSeconds: 1, ServerCores: []int{0}, LoadCores: []int{1}},
	}}
	l.tokens()
	l.proxies()
	l.pairs()
	l.audit()
	l.growth()
	l.rest()
	l.soak()
	l.targets()
	return l.file
})

// run is the test's own; rows and targets themselves are not to be changed.
func run(t *testing.T) *result.File {
	t.Helper()
	f := *made()
	f.Rows, f.Targets = slices.Clone(f.Rows), slices.Clone(f.Targets)
	return &f
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

type with = map[string]float64

func (l *lab) noise() float64 { return math.Exp(l.random.NormFloat64() * 0.06) }

// served is a row of a server that answers so many a second with such a median.
func (l *lab) served(scenario, subject string, params with, perSecond, p50, tail, cpu float64) {
	r := result.Row{Scenario: scenario, Subject: subject, Params: params}
	h := hdrhistogram.New(1, 120_000_000, 2)
	for range 2_000 {
		v := p50 * math.Exp(math.Abs(l.random.NormFloat64())*tail-tail*0.67)
		must(h.RecordValue(int64(max(1, v))))
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	must(err)
	r.Histogram = string(encoded)
	for range 5 {
		n := l.noise()
		r.Rounds = append(r.Rounds, result.Sample{
			result.PerSecond: perSecond * n, result.Requests: math.Round(perSecond * n), result.Errors: 0, result.CPU: cpu / n, result.RSS: 48 << 20 * l.noise(),
			result.P50: float64(h.ValueAtQuantile(50)) / n, result.P90: float64(h.ValueAtQuantile(90)) * l.noise(),
			result.P99: float64(h.ValueAtQuantile(99)) * l.noise(), result.P999: float64(h.ValueAtQuantile(99.9)) * l.noise() * l.noise(), result.Max: float64(h.Max()),
		})
	}
	l.file.Rows = append(l.file.Rows, r)
}

func (l *lab) tokens() {
	for _, c := range []float64{1, 8, 64} {
		l.served("issuance", "idp", with{"connections": c}, 1900*c/(c+0.4), 520*c, 0.25, 470)
		l.served("issuance", "oidc-provider", with{"connections": c}, 880*c/(c+0.3), 1130*c, 0.35, 1100)
	}
	for _, rate := range []float64{200, 400, 800, 1200, 1600} {
		l.served("issuance-rate", "idp", with{"rate": rate}, rate, 480/(1-rate/1900), 0.5, 480)
	}
	for _, rate := range []float64{200, 400, 800} {
		l.served("issuance-rate", "oidc-provider", with{"rate": rate}, rate, 1100/(1-rate/900), 0.6, 1100)
	}
	l.served("issuance", "idp-stub", with{"connections": 64}, 2010, 32000, 0.25, 450)
	l.served("issuance-clients", "idp", with{"connections": 64, "clients": 1}, 1870, 34000, 0.25, 480)
	l.served("issuance-clients", "idp", with{"connections": 64, "clients": 10000}, 1850, 34000, 0.25, 480)
	l.served("issuance-bcrypt", "neighbour", with{"connections": 8, "cold_clients": 0}, 1790, 4400, 0.2, 500)
	l.served("issuance-bcrypt", "neighbour", with{"connections": 8, "cold_clients": 40}, 1210, 6500, 0.3, 510)
	l.served("issuance-bcrypt", "cold", with{"clients": 40}, 9.6, 810000, 0.2, 101000)
	l.served("introspection", "idp", with{"connections": 64}, 9800, 6300, 0.3, 96)
	l.served("jwks", "idp", with{"connections": 64}, 38000, 1650, 0.3, 22)
	l.served("jwks-etag", "idp", with{"connections": 64}, 41000, 1500, 0.3, 20)
	l.served("registration", "idp", with{"connections": 8}, 3100, 2500, 0.4, 210)
	l.served("sign", "own", nil, 2250, 440, 0.05, 440)
	l.served("sign", "go", nil, 930, 1070, 0.05, 1070)
}

func (l *lab) proxies() {
	for _, c := range []float64{1, 8, 64, 256} {
		full := c / (c + 2.2)
		for _, s := range []struct {
			scenario, subject string
			rate, tail, cpu   float64
		}{
			{"sidecar-warm", "sidecar", 41000, 0.5, 23}, {"sidecar-warm", "bare", 52000, 0.35, 16.2}, {"sidecar-warm", "direct", 86000, 0.3, 5.4},
			{"sidecar-cold", "sidecar", 7100, 0.4, 140}, {"sidecar-opa", "sidecar", 24500, 0.5, 40}, {"sidecar-denied", "sidecar", 61000, 0.5, 15}, {"sidecar-denied", "bare", 52500, 0.35, 16}, {"sidecar-warm", "haproxy-jwt", 12100, 0.4, 82}, {"sidecar-warm", "nginx", 44000, 0.3, 21},
		} {
			l.served(s.scenario, s.subject, with{"connections": c}, s.rate*full, c/(s.rate*full)*1e6, s.tail, s.cpu/full)
		}
	}
	for _, rate := range []float64{2000, 5000, 10000, 20000, 30000} {
		l.served("sidecar-rate", "sidecar", with{"rate": rate}, rate, 150/(1-rate/40000), 0.7, 25)
		l.served("sidecar-rate", "bare", with{"rate": rate}, rate, 120/(1-rate/51000), 0.6, 17)
		if rate < 12000 {
			l.served("sidecar-rate", "haproxy-jwt", with{"rate": rate}, rate, 190/(1-rate/12100), 0.6, 85)
		}
	}
}

func (l *lab) pairs() {
	for _, tokens := range []float64{1, 10_000} {
		l.served("sidecar-pair", "bare", with{"tokens": tokens}, 0, 110, 0.4, 0)
		l.served("sidecar-pair", "sidecar", with{"tokens": tokens}, 0, 126+4*math.Log(tokens), 0.4, 0)
	}
}

func (l *lab) timed(scenario, subject string, params with, p50 float64) {
	l.served(scenario, subject, params, 1e6/p50, p50, 0.5, p50)
}

func (l *lab) audit() {
	for _, c := range []float64{1, 8, 64} {
		l.served("audit-append", "idp", with{"callers": c}, 24000*c/(c+9), 700*math.Sqrt(c), 0.3, 30)
	}
	for _, events := range []float64{1e5, 1e6, 1e7} {
		grown := math.Log10(events)
		l.timed("growth-list", "idp", with{"events": events}, 800*grown)
		l.timed("growth-proof", "idp", with{"events": events}, 250*grown)
	}
	for i, query := range []string{"newest", "action", "rare-action", "outcome", "nothing"} {
		l.timed("audit-list", query, with{"events": 1e5, "limit": 100}, 900+float64(i)*400)
	}
	l.served("audit-ingest", "idp", with{"batch": 500}, 41000, 12000, 0.2, 24)
	l.served("audit-raw", "copy", with{"batch": 500}, 61000, 8200, 0.2, 10)
	l.file.Rows[len(l.file.Rows)-2].Invalid = "the IdP has 40,120 of 41,000 decisions"
}

func (l *lab) growth() {
	for _, agents := range []float64{1e2, 1e3, 1e4, 1e5, 1e6} {
		l.timed("growth-issuance", "idp", with{"agents": agents}, 540*(1+math.Log10(agents)/90))
		l.timed("growth-authentication", "idp", with{"agents": agents}, 61*(1+math.Log10(agents)/60))
	}
}

func (l *lab) rest() {
	for _, feeds := range []float64{1, 50, 200} {
		l.timed("revocation-reach", "sidecar", with{"feeds": feeds}, 3000+40*feeds)
	}
	for i, took := range []float64{410, 180} {
		r := result.Row{Scenario: []string{"startup-first", "startup"}[i], Subject: "idp"}
		for range 5 {
			r.Rounds = append(r.Rounds, result.Sample{result.Duration: took * l.noise(), result.RSS: 38 << 20})
		}
		l.file.Rows = append(l.file.Rows, r)
	}
	l.file.Rows = append(l.file.Rows, result.Row{Scenario: "memory", Subject: "sidecar", Params: with{"connections": 64, "tokens": 10000}, Rounds: []result.Sample{{result.RSS: 57 << 20}}})
}

func (l *lab) soak() {
	rows := []result.Row{
		{Scenario: "soak", Subject: "tokens", Params: with{"rate": 820}}, {Scenario: "soak", Subject: "calls", Params: with{"rate": 13365}},
		{Scenario: "soak", Subject: "idp"}, {Scenario: "soak", Subject: "sidecar"},
	}
	for n := range 60 {
		when := float64(n+1) * 30
		rows[0].Rounds = append(rows[0].Rounds, result.Sample{at: when, result.PerSecond: 820 * l.noise(), result.P99: 14_000 * l.noise()})
		rows[1].Rounds = append(rows[1].Rounds, result.Sample{at: when, result.PerSecond: 13_365 * l.noise(), result.P99: 5_000 * l.noise()})
		rows[2].Rounds = append(rows[2].Rounds, result.Sample{at: when, result.RSS: 110 << 20 * l.noise(), "fds": 35, "goroutines": 151})
		rows[3].Rounds = append(rows[3].Rounds, result.Sample{at: when, result.RSS: 47 << 20 * l.noise(), "fds": 52, "goroutines": 67, "spool_bytes": 4 << 20})
	}
	l.file.Rows = append(l.file.Rows, rows...)
}

func (l *lab) targets() {
	for _, t := range []result.Target{
		{ID: "P1", Name: "issuance/sign", Value: 0.84, Op: ">=", Bound: 0.8},
		{ID: "P2", Name: "idp/oidc-provider", Value: 2.15, Op: ">=", Bound: 1.8},
		{ID: "P3", Name: "issuance p99, 8 connections", Unit: "ms", Value: 7.9, Op: "<=", Bound: 100},
		{ID: "P3", Name: "issuance p99, 64 connections", Unit: "ms", Value: 51, Op: "<=", Bound: 100},
		{ID: "P4", Name: "warm/bare", Value: 0.93, Op: ">=", Bound: 0.9},
		{ID: "P4", Name: "warm CPU/bare", Value: 1.42, Op: "<=", Bound: 1.15, Verdict: result.Missed, Why: "the record's hash takes 0.8 µs"},
		{ID: "P5", Name: "warm/haproxy", Value: 3.4, Op: ">=", Bound: 2.5},
		{ID: "P5", Name: "cold/haproxy", Value: 0.59, Op: ">=", Bound: 1, Verdict: result.Missed},
		{ID: "P6", Name: "opa/bare", Value: 0.47, Op: ">=", Bound: 0.45},
		{ID: "P7", Name: "added p50, warm", Unit: "µs", Value: 16, Op: "<=", Bound: 30},
		{ID: "P8", Name: "durable events", Unit: "/s", Value: 21300, Op: ">=", Bound: 20000},
		{ID: "P8", Name: "ingest/COPY", Value: 0.67, Op: ">=", Bound: 0.6, Verdict: result.Invalid, Why: "the IdP has 40,120 of 41,000 decisions"},
		{ID: "P9", Name: "sidecar memory", Unit: "MiB", Value: 57, Op: "<=", Bound: 60},
		{ID: "P10", Name: "issuance, 10⁶/10² agents", Value: 1.05, Op: "<=", Bound: 1.2},
	} {
		if t.Verdict == "" {
			t.Verdict = result.OK
		}
		for range 5 {
			t.Rounds = append(t.Rounds, t.Value*l.noise())
		}
		l.file.Targets = append(l.file.Targets, t)
	}
}
