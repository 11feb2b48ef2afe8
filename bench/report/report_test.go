package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

var update = flag.Bool("update", false, "write testdata")

// What is drawn, not how: a chart that appears, goes or loses a series shows here.
func TestCharts(t *testing.T) {
	all, err := charts(run(t))
	require.NoError(t, err)
	var b strings.Builder
	ids := map[string]bool{}
	for _, c := range all {
		require.False(t, ids[c.ID], "two charts are called %s", c.ID)
		ids[c.ID] = true
		fmt.Fprintf(&b, "%s: %s\n  %s · %s · %s\n", c.ID, c.Title, c.Kind, texts(c.X.Ticks), texts(c.Y.Ticks))
		for _, s := range c.Series {
			fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(fmt.Sprintf("%s %s, %s, %d points %s", s.Panel, s.Name, s.Colour, len(s.Points), s.Dash)))
		}
		for _, m := range c.Marks {
			fmt.Fprintf(&b, "  %s, %s, %d rounds\n", m.Name, m.Colour, len(m.Rounds))
		}
	}
	golden := filepath.Join("testdata", "charts.golden")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "go test ./report -update writes it")
}

func texts(ticks []tick) string {
	var all []string
	for _, t := range ticks {
		all = append(all, t.Text)
	}
	return strings.Join(all, " ")
}

func TestHTML(t *testing.T) {
	f := run(t)
	f.Rows = append(f.Rows, result.Row{Scenario: `</script><script>alert(1)</script>`, Subject: `"'<b>`, Rounds: []result.Sample{{result.PerSecond: 1}}})
	var b strings.Builder
	require.NoError(t, HTML(&b, f))
	page := b.String()

	t.Run("loads nothing", func(t *testing.T) {
		require.Contains(t, page, `content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`)
		require.NotRegexp(t, regexp.MustCompile(`(?i)<(link|img|iframe|object|embed|base|form)\b|<script[^>]+src|@import|url\(\s*["']?(https?:|//|data:)`), page)
	})
	t.Run("is not steered by its file", func(t *testing.T) {
		require.NotContains(t, page, "alert(1)</script>")
		require.Equal(t, 4, strings.Count(page, "</script>"))
	})
	t.Run("has every row", func(t *testing.T) {
		require.Equal(t, len(f.Rows)+1, strings.Count(page, "<tr"))
		require.Contains(t, page, "invalid: the IdP has 40,120 of 41,000 decisions")
	})
	t.Run("has every chart", func(t *testing.T) {
		all, err := charts(f)
		require.NoError(t, err)
		for _, c := range all {
			require.Contains(t, page, fmt.Sprintf(`<figure id="%s"`, c.ID))
		}
	})
	t.Run("says at a glance", func(t *testing.T) {
		for _, want := range []string{`<b>11</b>met`, `<b>2</b>missed`, `<b>1</b>invalid`, "server on 0, load on 1", "libcrypto OpenSSL 3.0.17", "8 GiB"} {
			require.Contains(t, page, want)
		}
	})
}

func TestNothingMeasured(t *testing.T) {
	f := &result.File{Rows: []result.Row{{Scenario: "issuance", Subject: "oidc-provider", Invalid: "not measured: no node", Rounds: []result.Sample{}}}}
	var b strings.Builder
	require.NoError(t, HTML(&b, f))
	require.Contains(t, b.String(), "not measured: no node")
	require.NotContains(t, b.String(), "<figure id")
	require.NoError(t, Pictures(t.TempDir(), f))
}

func TestPictures(t *testing.T) {
	f, dir := run(t), filepath.Join(t.TempDir(), "pictures")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for _, name := range []string{"gone.svg", "kept.md"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	require.NoError(t, Pictures(dir, f))
	require.NoFileExists(t, filepath.Join(dir, "gone.svg"))
	require.FileExists(t, filepath.Join(dir, "kept.md"))
	all, err := charts(f)
	require.NoError(t, err)
	for _, c := range all {
		svg, err := os.ReadFile(filepath.Join(dir, c.ID+".svg"))
		require.NoError(t, err)
		text := wellFormed(t, string(svg))
		require.Contains(t, text, c.Title, c.ID)
		for _, s := range c.Series {
			require.Contains(t, text, s.Name, c.ID)
		}
		for _, m := range c.Marks {
			require.Contains(t, text, m.Name, c.ID)
			require.Contains(t, text, m.Label, c.ID)
		}
		require.NotContains(t, string(svg), "NaN", c.ID)
		require.NotContains(t, string(svg), "undefined", c.ID)
		require.NotRegexp(t, `href=|<script|<image`, string(svg), c.ID)
		require.Contains(t, string(svg), "prefers-color-scheme: dark", c.ID)
	}
}

// wellFormed is the text of an XML document.
func wellFormed(t *testing.T, document string) string {
	var text strings.Builder
	decoder := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		require.NoError(t, err)
		if data, is := token.(xml.CharData); is {
			text.Write(data)
		}
	}
}

func TestBrokenHistogram(t *testing.T) {
	f := &result.File{Rows: []result.Row{{Scenario: "issuance", Subject: "idp", Rounds: []result.Sample{{result.PerSecond: 1}}, Histogram: "bm90IG9uZQ=="}}}
	require.ErrorContains(t, HTML(io.Discard, f), "the histogram of issuance/idp")
	require.ErrorContains(t, Pictures(t.TempDir(), f), "the histogram of issuance/idp")
}

func TestGallery(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "performance.md")
	require.NoError(t, os.WriteFile(name, []byte("# Before\n\n<!-- pictures -->\nold\n<!-- /pictures -->\n\nafter\n"), 0o644))
	for range 2 {
		require.NoError(t, Gallery(name, filepath.Join(dir, "performance"), run(t)))
	}
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "# Before\n\n<!-- pictures -->\n- Machine: 2 cores"))
	require.True(t, strings.HasSuffix(string(text), "\n<!-- /pictures -->\n\nafter\n"))
	require.NotContains(t, string(text), "\nold\n")
	require.Contains(t, string(text), "\nP4 warm/bare 0.93 (>= 0.90) ok\n")
	require.Contains(t, string(text), "![Latency by rate: sidecar rate](performance/sidecar-rate.svg)")
	require.NoError(t, os.WriteFile(name, []byte("no marks"), 0o644))
	require.ErrorContains(t, Gallery(name, dir, run(t)), "has no <!-- pictures -->")
	require.ErrorContains(t, Gallery(name+"x", dir, run(t)), "no such file")
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "run.json")
	file, err := os.Create(name)
	require.NoError(t, err)
	f := run(t)
	f.Rows = f.Rows[:3]
	require.NoError(t, f.Write(file))
	require.NoError(t, file.Close())
	var out strings.Builder
	page, pictures, gallery := filepath.Join(dir, "page.html"), filepath.Join(dir, "pictures"), filepath.Join(dir, "page.md")
	require.NoError(t, os.WriteFile(gallery, []byte("<!-- pictures -->\n<!-- /pictures -->\n"), 0o644))
	require.NoError(t, Command([]string{"-o", page, "-svg", pictures, "-md", gallery, name}, &out))
	require.Equal(t, page+"\n"+pictures+"\n"+gallery+"\n", out.String())
	require.FileExists(t, page)
	require.FileExists(t, filepath.Join(pictures, "targets.svg"))

	for _, refused := range []struct{ args, why string }{
		{name, "neither -o nor -svg"},
		{"-o " + page, "one result is drawn, not 0"},
		{"-o " + page + " " + dir + "/none.json", "no such file"},
		{"-o " + page + " " + page, "reading a result"},
		{"-o " + dir + "/no/page.html " + name, "no such file"},
		{"-svg " + name + "/x " + name, "pictures:"},
		{"-x", "flag provided but not defined"},
	} {
		require.ErrorContains(t, Command(strings.Fields(refused.args), io.Discard), refused.why, refused.args)
	}
	require.NoError(t, Command([]string{"-h"}, &out))
	require.Contains(t, out.String(), "load report -o page.html")
}
