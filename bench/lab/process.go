package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// PIDOf finds the process that was started with a setting in its environment.
func PIDOf(setting string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err == nil && bytes.Contains(append([]byte{0}, environment...), []byte("\x00"+setting+"\x00")) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("no process has %s", setting)
}

// tick is the unit of /proc/stat: USER_HZ is 100 wherever Go runs on Linux.
const tick = 10 * time.Millisecond

// Busy is how long the cores have worked so far, for whichever program, or were
// another machine's; interrupts are not counted. 0 without cores and where the
// system does not tell.
func Busy(cores []int) (total time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if len(cores) == 0 || errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		core, err := strconv.Atoi(strings.TrimPrefix(fields[0], "cpu"))
		if err != nil || !strings.HasPrefix(fields[0], "cpu") || !slices.Contains(cores, core) || len(fields) < 9 {
			continue
		}
		for _, i := range []int{1, 2, 3, 8} { // user, nice, system, steal
			ticks, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("/proc/stat: %w", err)
			}
			total += time.Duration(ticks) * tick
		}
	}
	return total, nil
}

// Memory is a field of /proc/PID/status in bytes, such as VmRSS.
func Memory(pid int, field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if name, value, found := strings.Cut(line, ":"); found && name == field {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}

// startHop runs cmd/hop on the cores.
func (l *Lab) startHop(cores []int, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(filepath.Join(l.root, "bin", hopProgram), args...) // Close ends it
	cmd.Stderr = os.Stderr
	// Its own group: Ctrl-C reaches the benchmark only, which ends all in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, On(cores, cmd.Start)
}

// kill ends a process that keeps nothing.
func kill(cmd *exec.Cmd) error {
	if cmd == nil || cmd.Process == nil || cmd.ProcessState != nil {
		return nil
	}
	err := cmd.Process.Kill()
	_ = cmd.Wait() // killed: its status says so
	return err
}
