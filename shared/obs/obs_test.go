package obs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
)

const (
	secret = "aidp_sk_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGabc123"
	jwt    = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl-_x"
)

func line(t *testing.T, log func(*slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	logger, err := NewLogger(&b, FormatJSON, slog.LevelInfo)
	require.NoError(t, err)
	log(logger)
	require.Equal(t, 1, strings.Count(b.String(), "\n"), "one line a record: %q", b.String())
	var m map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &m))
	return m
}

func TestSecretsNeverReachTheLog(t *testing.T) {
	type request struct{ Header string }
	hiding := map[string]slog.Attr{
		"secret in a string":      slog.String("a", "body client_id=x&client_secret="+secret),
		"secret alone":            slog.String("a", secret),
		"secret cut short":        slog.String("a", secret[:20]),
		"token":                   slog.String("a", "got "+jwt+" from x"),
		"token without signature": slog.String("a", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."),
		"token of five parts":     slog.String("a", jwt+".abc.def"),
		"spaced header":           slog.String("a", "eyAiYWxnIjoiUlMyNTYifQ.eyJzdWIiOiJhIn0.c2ln"),
		"bearer":                  slog.String("a", "Authorization: Bearer "+secret),
		"opaque bearer":           slog.String("a", "bearer opaque-value-123"),
		"basic":                   slog.String("a", "Authorization: Basic YWJjOmRlZg=="),
		"error":                   slog.Any("err", fmt.Errorf("inner: %w", errors.New("bad token "+jwt))),
		"bytes":                   slog.Any("a", []byte(secret)),
		"struct":                  slog.Any("a", request{Header: jwt}),
		"list":                    slog.Any("a", []string{"x", secret}),
		"group":                   slog.Group("g", slog.Group("h", slog.String("a", secret))),
		"URL":                     slog.String("a", "postgres://user:hunter2@db:5432/x and redis://:hunter2@r"),
		"key":                     slog.String("a", "x -----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY----- y"),
		"key cut short":           slog.String("a", "-----BEGIN PRIVATE KEY-----\nhunter2"),
		"by name":                 slog.String("client_secret", "hunter2"),
		"by header name":          slog.String("Authorization", "hunter2"),
		"by camel name":           slog.Group("g", slog.Any("accessToken", []byte("hunter2"))),
		"over the cut":            slog.String("a", strings.Repeat("x", maxValue-9)+" "+secret),
		"form":                    slog.String("a", "token=hunter2&token_type_hint=x"),
	}
	for name, attr := range hiding {
		for _, format := range []string{FormatJSON, FormatText} {
			var b bytes.Buffer
			logger, err := NewLogger(&b, format, slog.LevelInfo)
			require.NoError(t, err)
			logger.LogAttrs(t.Context(), slog.LevelInfo, "request", attr)
			logger.With(attr).Info("request")
			require.Regexp(t, `\[masked\]|aidp_sk_… \(`, b.String(), name)
			for _, leak := range []string{secret[8:16], "eyJzdWIi", "hunter2", "opaque-value", "YWJj"} {
				require.NotContains(t, b.String(), leak, name)
			}
		}
	}
	require.Equal(t, "refused "+masked, line(t, func(l *slog.Logger) { l.Info("refused " + jwt) })["msg"])
}

func TestOrdinaryValuesStay(t *testing.T) {
	for _, plain := range []string{
		"", "plain", "key.example.com", "a.b.c", "eyes.on.me", "ewe.lamb.ram", "basic rules", "https://user@host/x:y@z",
		"sk_live", "jti=0192", "token_type=Bearer", "日本語", "notes:read",
	} {
		require.Equal(t, plain, Mask(plain))
	}
	m := line(t, func(l *slog.Logger) {
		l.Info("m", "n", 7, "d", time.Second, "ip", netip.MustParseAddr("192.0.2.1"), "list", []string{"a", "b"}, "nil", nil, "err", (*netipError)(nil), "jti", "0192-abc")
	})
	require.Equal(t, float64(7), m["n"])
	require.Equal(t, "192.0.2.1", m["ip"])
	require.Equal(t, []any{"a", "b"}, m["list"])
	require.Nil(t, m["nil"])
	require.Equal(t, "<nil>", m["err"])
	require.Equal(t, "0192-abc", m["jti"])
}

type netipError struct{ text string }

func (e *netipError) Error() string { return e.text }

func TestHostileTextIsOneShortLine(t *testing.T) {
	hostile := "GET /\r\nmsg=forged \x1b[31m \xff\xfe" + strings.Repeat("é", 10<<10)
	for _, format := range []string{FormatJSON, FormatText} {
		var b bytes.Buffer
		logger, err := NewLogger(&b, format, slog.LevelInfo)
		require.NoError(t, err)
		logger.Info("request", "path", hostile)
		require.Equal(t, 1, strings.Count(b.String(), "\n"))
		require.NotContains(t, b.String(), "\x1b")
		require.NotContains(t, b.String(), "\r")
		require.Less(t, b.Len(), 2*maxValue)
		require.True(t, utf8.Valid(b.Bytes()))
	}
	require.True(t, strings.HasSuffix(Mask(strings.Repeat("é", 10<<10)), "é… (20480 bytes)"))
	require.Equal(t, maxValue, strings.Count(Mask(strings.Repeat("a", 5000)), "a"))
	require.True(t, strings.HasSuffix(Mask("x"+strings.Repeat("é", 10<<10)), "é… (20481 bytes)"), "no half character")
}

func TestLevelAndFormat(t *testing.T) {
	var b bytes.Buffer
	level := new(slog.LevelVar)
	logger, err := NewLogger(&b, FormatText, level)
	require.NoError(t, err)
	logger.Debug("hidden")
	require.Empty(t, b.String())
	level.Set(slog.LevelDebug)
	logger.Debug("shown")
	require.Contains(t, b.String(), "level=DEBUG msg=shown")
	_, err = NewLogger(&b, "xml", level)
	require.EqualError(t, err, `log format must be json or text, not "xml"`)
}

func TestBuild(t *testing.T) {
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for want, b := range map[string]Build{
		"v1.2.3 (0123456789ab, modified, go1.26)": build("v1.2.3", &debug.BuildInfo{GoVersion: "go1.26", Settings: commit}),
		"v0.9.0 (go1.26)":                         build("", &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v0.9.0"}}),
		"devel (go1.26)":                          build("", &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"}}),
	} {
		require.Equal(t, want, b.String())
	}
	require.NotEmpty(t, build("", &debug.BuildInfo{}).Go)
	require.NotEmpty(t, ReadBuild().Version)
}

func TestMetrics(t *testing.T) {
	set := metrics.NewSet()
	Durations(set, "idp_request_seconds", "route", `a"b\c`+"\n").Update(0.0004)
	Durations(set, "idp_request_seconds", "route", `a"b\c`+"\n").Update(20)
	set.GetOrCreateCounter(Name("idp_requests_total")).Inc()
	var b bytes.Buffer
	WritePrometheus(&b, set, metrics.NewSet())
	for _, want := range []string{
		`idp_request_seconds_bucket{route="a\"b\\c\n",le="0.00025"} 0`,
		`idp_request_seconds_bucket{route="a\"b\\c\n",le="0.0005"} 1`,
		`idp_request_seconds_bucket{route="a\"b\\c\n",le="+Inf"} 2`,
		`idp_request_seconds_count{route="a\"b\\c\n"} 2`,
		"idp_requests_total 1\n", "agentidp_build_info{version=", "process_resident_memory_bytes ", "go_goroutines ", "process_open_fds ",
	} {
		require.Contains(t, b.String(), want)
	}
	require.Equal(t, `idp_x{a="`+strings.Repeat("v", 128)+`"}`, Name("idp_x", "a", strings.Repeat("v", 500)))
}

func TestNamesOutOfFormPanic(t *testing.T) {
	set := metrics.NewSet()
	for want, mistake := range map[string]func(){
		`obs: metric name "requests" is not lower_snake with a subsystem`:     func() { Name("requests") },
		`obs: metric name "idp_Requests" is not lower_snake with a subsystem`: func() { Name("idp_Requests") },
		`obs: labels of idp_x are not pairs`:                                  func() { Name("idp_x", "a") }, //nolint:staticcheck // the mistake under test
		`obs: label name "A" of idp_x`:                                        func() { Name("idp_x", "A", "b") },
		`obs: label name "le" of idp_x`:                                       func() { Name("idp_x", "le", "b") },
		`obs: histogram name "idp_x" does not end in _seconds`:                func() { Durations(set, "idp_x") },
	} {
		require.PanicsWithValue(t, want, mistake)
	}
}

func BenchmarkMask(b *testing.B) {
	for b.Loop() {
		Mask("/api/v1/agents/0190a1b2-0000-7000-8000-000000000000/credentials")
	}
}

func BenchmarkLogLine(b *testing.B) {
	logger, err := NewLogger(io.Discard, FormatJSON, slog.LevelInfo)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		logger.LogAttrs(b.Context(), slog.LevelInfo, "request",
			slog.String("operation", "issueToken"), slog.String("method", "POST"), slog.String("path", "/api/v1/token"), slog.Int("status", 200),
			slog.Duration("took", 1234567), slog.String("request_id", "0190a1b2-0000-7000-8000-000000000000"), slog.String("address", "127.0.0.1"),
			slog.String("agent_id", "0190a1b2-0000-7000-8000-000000000000"), slog.String("organization_id", "default"),
			slog.String("client_id", "aidp_c_0123456789012345678901"), slog.String("jti", "0190a1b2-0000-7000-8000-000000000000"))
	}
}

// What is passed without a search holds nothing that a search would find.
func TestPlainTextHoldsNoShape(t *testing.T) {
	for _, shape := range shapes {
		require.False(t, plain(shape.hint), "%q", shape.hint)
	}
	for _, text := range []string{"é", "\xff", strings.Repeat("a", maxValue+1)} {
		require.False(t, plain(text))
	}
	for _, text := range []string{"", "POST", "/api/v1/token", "0190a1b2-0000-7000-8000-000000000000"} {
		require.True(t, plain(text), text)
		require.Equal(t, text, Mask(text))
	}
}

func TestNamesAreRemembered(t *testing.T) {
	var k known
	for range 2 {
		require.True(t, k.secret("Client_Secret"))
		require.False(t, k.secret("client_id"))
	}
	require.Len(t, *k.names.Load(), 2)
	for i := range 2 * maxNames {
		require.False(t, k.secret(fmt.Sprint("name", i)))
	}
	require.Len(t, *k.names.Load(), maxNames, "bounded")
	require.True(t, k.secret("pass-word"), "also those that are not remembered")
}
