package lab

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// On runs start so that the processes it starts are bound to the cores. No
// cores: it just runs.
func On(cores []int, start func() error) error {
	if len(cores) == 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("cores of a thread: %w", err)
	}
	if err := bind(0, cores); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }() // it was so before
	return start()
}

// bindSelf binds this process, which makes the load. GOMAXPROCS follows.
func bindSelf(cores []int) error {
	if len(cores) == 0 {
		return nil
	}
	if err := eachThread(os.Getpid(), func(id int) error { return bind(id, cores) }); err != nil {
		return err
	}
	runtime.SetDefaultGOMAXPROCS()
	return nil
}

func bind(task int, cores []int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(task, &set); err != nil {
		return fmt.Errorf("bind to cores %v: %w", cores, err)
	}
	return nil
}

// allowed are the cores that this process may use.
func allowed() []int { return Cores(os.Getpid()) }

// Cores are those that a process may use; nil where the system does not tell.
func Cores(pid int) []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		return nil
	}
	var cores []int
	for core := range len(set) * 64 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores
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
