package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

const begin, end = "<!-- pictures -->\n", "<!-- /pictures -->"

// Gallery writes the run's targets and its pictures, which lie in dir, between
// the marks of a Markdown file.
func Gallery(file, dir string, f *result.File) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("pictures: %w", err)
	}
	before, rest, opened := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		return fmt.Errorf("pictures: %s has no %s … %s", file, strings.TrimSpace(begin), end)
	}
	folder, err := filepath.Rel(filepath.Dir(file), dir)
	if err != nil {
		return fmt.Errorf("pictures: %w", err)
	}
	drawn, err := charts(f)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, fact := range facts(f) {
		fmt.Fprintf(&b, "- %s: %s\n", fact.Name, fact.Value)
	}
	if len(f.Targets) > 0 {
		b.WriteString("\n```\n")
		for _, t := range f.Targets {
			fmt.Fprintln(&b, t)
		}
		b.WriteString("```\n")
	}
	for _, s := range sections(drawn) {
		fmt.Fprintf(&b, "\n### %s\n\n", s.Title)
		for _, c := range s.Charts {
			fmt.Fprintf(&b, "![%s](%s/%s.svg)\n", c.Title, filepath.ToSlash(folder), c.ID)
		}
	}
	if err := os.WriteFile(file, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
		return fmt.Errorf("pictures: %w", err)
	}
	return nil
}
