//go:build faultinject

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	variable      = "AGENTIDP_FAULT"
	clockVariable = "AGENTIDP_FAULT_CLOCK"
)

var errInjected = errors.New("injected by " + variable)

// armed is what the last reading of the variable said, and how often it was met since.
var armed struct {
	sync.Mutex
	line string
	hits int
}

// Hit does what is armed for the point.
func Hit(p Point) { _ = Error(p, nil) }

// Error is Hit, and returns err unless an error is armed.
func Error(p Point, err error) error {
	action := due(p)
	kind, argument, _ := strings.Cut(action, ":")
	switch kind {
	case "":
	case "kill":
		kill()
	case "panic":
		panic(fmt.Sprintf("%v at %s", errInjected, p))
	case "error":
		return fmt.Errorf("%w at %s", errInjected, p)
	case "sleep":
		time.Sleep(duration(argument))
	default:
		panic("unknown action in " + variable + ": " + action)
	}
	return err
}

// due is the action to take at p now; "" for none.
func due(p Point) string {
	line := read(os.Getenv(variable), "@")
	armed.Lock()
	defer armed.Unlock()
	if armed.line != line {
		armed.line, armed.hits = line, 0
	}
	name, rest, found := strings.Cut(line, "=")
	if !found || name != p.String() {
		return ""
	}
	action, count := rest, 1
	if before, after, counted := strings.Cut(rest, ",count="); counted {
		number, err := strconv.Atoi(after)
		if err != nil {
			panic(variable + ": " + err.Error())
		}
		action, count = before, number
	}
	armed.hits++
	if armed.hits == count || armed.hits > count && strings.HasPrefix(action, "sleep") {
		return action
	}
	return ""
}

// read is the value itself, or the content of the file that it names after mark.
func read(value, mark string) string {
	name, isFile := strings.CutPrefix(value, mark)
	if !isFile || value == "" {
		return value
	}
	content, err := os.ReadFile(name) //nolint:gosec // G703: the test names the file
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// kill ends the process as nothing can prevent; it never returns.
func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(variable + ": " + err.Error())
	}
	return d
}

// Clock is now, moved by the offset in force.
func Clock(now func() time.Time) func() time.Time {
	value := os.Getenv(clockVariable)
	if value == "" {
		return now
	}
	if value[0] == '+' || value[0] == '-' {
		offset := duration(value)
		return func() time.Time { return now().Add(offset) }
	}
	return func() time.Time {
		offset := read(value, "")
		if offset == "" {
			return now()
		}
		return now().Add(duration(offset))
	}
}
