// Package report draws a run: one HTML page that needs nothing else, and the
// same charts as SVG files.
//
// What to draw is decided in Go, down to the text of each tick (sweep.go,
// bars.go, percentiles.go, targets.go); web/draw.js gives it to Observable
// Plot, in the page as in goja, so that a picture and the page cannot differ.
package report

import (
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"

	_ "embed"
)

var (
	//go:embed web/plot.min.js
	plotJS string
	//go:embed web/draw.js
	drawJS string
	//go:embed web/page.js
	pageJS string
	//go:embed web/theme.css
	themeCSS string
	//go:embed web/page.css
	pageCSS string
	//go:embed web/page.html
	pageHTML string
	//go:embed web/LICENSES
	licenses string

	page = template.Must(template.New("page").Parse(pageHTML))
)

// HTML writes the page: every chart, every target and every row of the file.
// It loads nothing from anywhere.
func HTML(w io.Writer, f *result.File) error {
	charts, err := charts(f)
	if err != nil {
		return err
	}
	err = page.Execute(w, map[string]any{
		"File":     f,
		"Tally":    tally(f.Targets),
		"Facts":    facts(f),
		"Sections": sections(charts),
		"Table":    tabulate(f.Rows),
		"Style":    template.CSS(themeCSS + pageCSS),
		"Scripts":  []template.JS{template.JS(plotJS), template.JS(drawJS), template.JS(pageJS)},
		"Charts":   charts,
		"Licenses": licenses,
	})
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// Pictures writes each chart to dir as ID.svg, and removes SVG files that lie
// there from an earlier run.
func Pictures(dir string, f *result.File) error {
	charts, err := charts(f)
	if err != nil {
		return err
	}
	draw, err := newPen()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("pictures: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil {
		return fmt.Errorf("pictures: %w", err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("pictures: %w", err)
		}
	}
	for _, c := range charts {
		svg, err := draw.svg(c)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", c.ID, err)
		}
		if err := os.WriteFile(filepath.Join(dir, c.ID+".svg"), []byte(svg), 0o644); err != nil {
			return fmt.Errorf("pictures: %w", err)
		}
	}
	return nil
}

// charts are all that the file has something for, in the page's order.
func charts(f *result.File) ([]chart, error) {
	all := targetChart(f.Targets)
	valid := validRows(f.Rows)
	for _, s := range areas {
		rows := s.of(valid)
		turns, rows := inTurn(rows)
		if s.alike {
			rows = once(rows)
		}
		if s.id == "soak" {
			all = append(all, overTime(s, rows)...)
			continue
		}
		all = append(all, rivals(s, rows)...)
		all = append(all, sweeps(s, rows)...)
		curves, err := percentiles(s, rows)
		if err != nil {
			return nil, err
		}
		all = append(all, curves...)
		all = append(all, singles(s, rows)...)
		if len(turns) > 0 {
			c, err := turnsChart(s, turns)
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func validRows(rows []result.Row) []result.Row {
	var valid []result.Row
	for _, r := range rows {
		if r.Invalid == "" && len(r.Rounds) > 0 {
			valid = append(valid, r)
		}
	}
	return valid
}

type section struct {
	Title, Intro string
	Charts       []chart
}

func sections(charts []chart) []section {
	var all []section
	for _, c := range charts {
		if len(all) == 0 || all[len(all)-1].Title != c.area.title {
			all = append(all, section{Title: c.area.title, Intro: c.area.intro})
		}
		last := &all[len(all)-1]
		last.Charts = append(last.Charts, c)
	}
	return all
}

type fact struct{ Name, Value string }

func facts(f *result.File) []fact {
	m, s := f.Machine, f.Settings
	all := []fact{
		{"Machine", fmt.Sprintf("%d cores of %s, %s", m.Cores, m.CPU, figure(float64(m.Memory), size))},
		{"System", strings.Join([]string{m.OS, m.Kernel, m.Go}, " · ")},
		{"Store", s.Store},
		{"Signer", s.Signer},
		{"Rounds", fmt.Sprintf("%d of %gs, interleaved", s.Rounds, s.RoundSeconds)},
	}
	if len(s.ServerCores) > 0 || len(s.LoadCores) > 0 {
		all = append(all, fact{"Cores", fmt.Sprintf("server on %s, load on %s", cores(s.ServerCores), cores(s.LoadCores))})
	}
	took := fmt.Sprintf("%s, %.0f minutes", f.Started.UTC().Format("2 January 2006 15:04 UTC"), f.Seconds/60)
	all = append(all, fact{"Measured", took})
	if f.Commit != "" {
		all = append(all, fact{"Commit", f.Commit})
	}
	return all
}

func cores(numbers []int) string {
	if len(numbers) == 0 {
		return "any"
	}
	return strings.Trim(fmt.Sprint(numbers), "[]")
}
