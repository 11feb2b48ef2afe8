package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// output writes what a command found, for people or for scripts.
type output struct {
	io.Writer
	json   bool
	colour bool
}

func (p program) output(asJSON bool) output {
	return output{Writer: p.Stdout, json: asJSON, colour: p.env("NO_COLOR") == "" && p.env("TERM") != "dumb" && isTerminal(p.Stdout)}
}

// object writes value, one of the API's objects, as JSON, or its rows of names
// and values.
func (o output) object(value any, rows func() [][]string) error {
	if o.json {
		return o.write(value)
	}
	return o.table(nil, rows())
}

func (o output) write(value any) error {
	encoder := json.NewEncoder(o)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// list writes what a list yields, up to limit entries (0: all): as a JSON array
// of the API's objects, or as a table.
func list[T any](o output, entries iter.Seq2[T, error], limit int, header []string, row func(T) []string) error {
	all, rows := []T{}, [][]string{}
	for entry, err := range entries {
		if err != nil {
			return err
		}
		all = append(all, entry)
		if !o.json {
			rows = append(rows, row(entry))
		}
		if len(all) == limit {
			break
		}
	}
	if o.json {
		return o.write(all)
	}
	return o.table(header, rows)
}

// table aligns columns by two spaces. Without a header it is of names and values.
func (o output) table(header []string, rows [][]string) error {
	shown := [][]string{}
	if header != nil {
		shown = append(shown, header)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = plain(cell); cell == "" {
				cells[i] = "-"
			}
		}
		shown = append(shown, cells)
	}
	var widths []int
	for _, row := range shown {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range shown {
		for i, cell := range row {
			text.WriteString(o.paint(cell))
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(o, text.String())
	return err
}

// The words that stand out, by how good they are.
var (
	good = []string{"active", "success", "ok", "allow", "connected"}
	fair = []string{"suspended", "next", "degraded", "retired", "failure", "skipped"}
	bad  = []string{"decommissioned", "revoked", "denied", "unavailable", "deny", "WRONG", "dead", "away"}
)

func (o output) paint(word string) string {
	if !o.colour {
		return word
	}
	for _, class := range []struct {
		words []string
		code  int
	}{{good, 32}, {fair, 33}, {bad, 31}} {
		if slices.Contains(class.words, word) {
			return fmt.Sprintf("\x1b[%dm%s\x1b[0m", class.code, word)
		}
	}
	return word
}

// plain keeps what others wrote from driving the terminal: whatever does not
// print, or turns the direction of text, is shown as its escape.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			quoted := fmt.Sprintf("%+q", string(r))
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// at is a time that may be absent.
func at(t *agentidp.Time) string {
	if t == nil {
		return ""
	}
	return t.String()
}
