package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// process is one program that can be started, broken and started again.
type process struct{ commandtest.Process }

func freePort(t *testing.T) int { return commandtest.FreePort(t, 10_000) }

func freeAddr(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }

// memory is a line of /proc/PID/status, such as VmRSS or VmHWM (the most it ever was), in bytes.
func (p *process) memory(line string) int64 {
	p.T.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	require.NoError(p.T, err)
	_, rest, found := strings.Cut(string(content), line+":")
	require.True(p.T, found)
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(p.T, err)
	return kib << 10
}

// forgetPeak makes VmHWM begin anew.
func (p *process) forgetPeak() {
	p.T.Helper()
	require.NoError(p.T, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0))
}

// lastLog is the last line of the log with this message; nil when there is none.
func (p *process) lastLog(message string) (line map[string]any) {
	for raw := range bytes.Lines(p.Log()) {
		var one map[string]any
		if json.Unmarshal(raw, &one) == nil && one["msg"] == message {
			line = one
		}
	}
	return line
}
