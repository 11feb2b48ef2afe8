package config

import (
	"fmt"
	"strings"
)

// Problem is one setting that cannot be used.
type Problem struct {
	Key    string // YAML key of the setting: "data_dir"
	Source string // what gave the value: "environment AGENTIDP_DATA_DIR", "flag --data-dir"; "" for a default
	Text   string // what is wrong, never a secret's value
}

// String is one line: key, source, text.
func (p Problem) String() string {
	if p.Source == "" {
		return fmt.Sprintf("%s: %s", p.Key, p.Text)
	}
	return fmt.Sprintf("%s (%s): %s", p.Key, p.Source, p.Text)
}

// Problems is every problem of one Load, in order of source. Never empty.
type Problems struct{ List []Problem }

// Error is one line a problem, under a heading.
func (p *Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration has %d problem(s)", len(p.List))
	for _, one := range p.List {
		b.WriteString("\n  " + one.String())
	}
	return b.String()
}
