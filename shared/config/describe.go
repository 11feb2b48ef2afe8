package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// masked stands for a secret that is set.
const masked = "********"

// Describe lists the settings of dst as they are now, one "key: value" a line in
// field order. Secrets, and passwords inside URLs, are masked.
func Describe(dst any) (string, error) {
	settings, err := settingsOf(dst)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "%s: %s\n", s.key, shown(s))
	}
	return b.String(), nil
}

// Reference is a Markdown table of every setting of dst: variable, flag,
// default (dst's present value) and meaning.
func Reference(dst any, prefix string) (string, error) {
	settings, err := settingsOf(dst)
	if err != nil {
		return "", err
	}
	rows := [][]string{{"Variable", "Flag", "YAML key", "Default", "Meaning"}}
	for _, s := range settings {
		flag, variable := "", s.env(prefix)
		if s.secret {
			variable += "[_FILE]"
		} else {
			flag = "--" + s.flag()
		}
		rows = append(rows, []string{variable, flag, s.key, shown(s), s.usage})
	}
	return table(rows), nil
}

// table lays rows out with the columns aligned; the first row is the heading.
func table(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "|", `\|`)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1))
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for _, width := range widths {
			b.WriteString("|" + strings.Repeat("-", width+2))
		}
		b.WriteString("|\n")
	}
	return b.String()
}

func shown(s setting) string {
	text := s.text()
	if s.secret && text != "" {
		return masked
	}
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}

// text is the value in the form that parse reads.
func (s setting) text() string {
	switch v := s.value.Interface().(type) {
	case time.Duration:
		return v.String()
	case []string:
		return strings.Join(v, ",")
	case []netip.Prefix:
		parts := make([]string, len(v))
		for i, prefix := range v {
			parts[i] = prefix.String()
		}
		return strings.Join(parts, ",")
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return ""
		}
		return string(text)
	default:
		return fmt.Sprint(v)
	}
}
