package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cores of the measured programs and of everything else, so that each proxy has
// the same core to itself and the same load from the other.
const (
	coreOfServers = 0
	coreOfOthers  = 1
)

// onCore runs f so that the processes it starts are bound to the core.
func onCore(core int, f func() error) error {
	if runtime.NumCPU() < 2 {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := affinity(0)
	if err != nil {
		return err
	}
	if err := bind(0, 1<<core); err != nil {
		return err
	}
	defer bind(0, before) // it was so before
	return f()
}

// bindSelf binds this process, which makes the load, to a core.
func bindSelf(core int) error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	return eachThread(os.Getpid(), func(id int) error { return bind(id, 1<<core) })
}

// renice gives a process a priority, 19 being the lowest.
func renice(pid, priority int) error {
	return eachThread(pid, func(id int) error { return syscall.Setpriority(syscall.PRIO_PROCESS, id, priority) })
}

func eachThread(pid int, f func(id int) error) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := f(id); err != nil {
			return fmt.Errorf("thread %d of process %d: %w", id, pid, err)
		}
	}
	return nil
}

// pidOf finds the process that was started with a setting in its environment.
func pidOf(setting string) (int, error) {
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

// used is the processor time of a process so far.
func used(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("process %d: no threads", pid)
	}
	var sum time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread ended
		}
		first, _, _ := bytes.Cut(text, []byte{' '})
		ns, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", task, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// memory is a field of /proc/PID/status in bytes, such as VmRSS.
func memory(pid int, field string) (int64, error) {
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

// self runs another part of this program as a process of its own.
func self(args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...) // close ends it
	cmd.Stderr = os.Stderr
	// Its own group: Ctrl-C reaches the benchmark only, which ends all in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, cmd.Start()
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
