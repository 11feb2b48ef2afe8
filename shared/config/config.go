// Package config fills a settings struct from, in rising order: the defaults
// already in it, a strict YAML file, the environment and command-line flags.
//
// A setting is a field with a `config` tag, its name in upper snake case:
//
//	type Config struct {
//		DataDir  string `config:"DATA_DIR" usage:"folder of the store and the keys"`
//		Secret   string `config:"CLIENT_SECRET" usage:"…" secret:"true"`
//		Database string `env:"DATABASE_URL" usage:"…" secret:"true"`
//	}
//
// The variable is Options.Prefix + the name (an `env` tag gives a whole name
// instead), the YAML key is the name in lower snake case (data_dir), the flag in
// lower kebab case (--data-dir). A secret has no flag, and <NAME>_FILE (or the
// YAML key <name>_file) names a file that holds its value. An empty variable
// counts as not set. Structs without a tag are descended into. A string field
// tagged `fileof:"NAME"` learns the path of the file that the secret NAME came
// from, for whoever has to read it again.
//
// Types: string, bool, int, int64, float64, time.Duration (a bare number is
// seconds), []string and []netip.Prefix (comma-separated, in YAML also a list),
// and anything that is an encoding.TextUnmarshaler.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Prefixes of the two programs. A variable belongs to the longest that fits, so
// neither warns about the other's.
const (
	PrefixIdP     = "AGENTIDP_"
	PrefixSidecar = "AGENTIDP_SIDECAR_"
)

// The most that is read of a configuration file and of a <NAME>_FILE.
const (
	maxFile   = 1 << 20
	maxSecret = 64 << 10
)

// Options says where settings come from. The zero value keeps the defaults.
type Options struct {
	File    string         // YAML file; "" for none
	Prefix  string         // of environment variables, with its final "_"
	Environ []string       // "NAME=value" as os.Environ gives it
	Flags   *pflag.FlagSet // after parsing, filled by Flags; only changed flags count

	// Concerning are the keys whose rules count, for a command that uses no other
	// settings. Empty: all.
	Concerning []string

	// Warn is told of each variable under Prefix that no setting has. May be nil.
	Warn func(text string)
}

// Checker is a settings struct with rules of its own. Validate is called after
// all sources; a Problem needs Key and Text only.
type Checker interface{ Validate() []Problem }

// Load fills dst, a pointer to a struct. Every problem of every source is found
// before it returns: the error is then a *Problems.
func Load(dst any, opts Options) error {
	settings, err := settingsOf(dst)
	if err != nil {
		return err
	}
	l := &loader{options: opts, settings: settings, sources: map[string]string{}}
	l.file()
	l.environment()
	l.flags()
	if checker, ok := dst.(Checker); ok {
		for _, p := range checker.Validate() {
			if len(opts.Concerning) > 0 && !slices.Contains(opts.Concerning, p.Key) {
				continue
			}
			if p.Source == "" {
				p.Source = l.sources[p.Key]
			}
			l.problems = append(l.problems, p)
		}
	}
	if len(l.problems) == 0 {
		return nil
	}
	return &Problems{List: l.problems}
}

// loader is one Load at work.
type loader struct {
	options  Options
	settings []setting
	sources  map[string]string // by key: what set it last; absent for a default
	problems []Problem
}

func (l *loader) problem(key, source, text string) {
	l.problems = append(l.problems, Problem{Key: key, Source: source, Text: text})
}

// set parses the raw values into the setting and notes where they came from.
func (l *loader) set(s setting, source string, values ...string) {
	if text := s.parse(values); text != "" {
		l.problem(s.key, source, text)
		return
	}
	l.sources[s.key] = source
	if s.path.IsValid() {
		s.path.SetString("")
	}
}

// setFromFile sets a secret to the content of a file, without its final line break.
func (l *loader) setFromFile(s setting, source, path string) {
	content, err := read(path, maxSecret)
	if err != nil {
		l.problem(s.key, source, err.Error())
		return
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if value == "" {
		l.problem(s.key, source, "names an empty file")
		return
	}
	l.set(s, source, value)
	if s.path.IsValid() {
		s.path.SetString(path)
	}
}

// read gives a whole file of at most limit bytes.
func read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("names a file that cannot be opened: %w", pathless(err))
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("names a file that cannot be read: %w", pathless(err))
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("names a file larger than %d bytes", limit)
	}
	return content, nil
}

// pathless drops the path: where a secret's value was given in place of its
// file's name, the path is that value.
func pathless(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
