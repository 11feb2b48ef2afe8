package clientauth

import "syscall"

// behind is by how many steps of niceness: seven are a sixth of a core that
// somebody else wants too, and all of one that nobody wants.
const behind = 7

// stepBehind makes this thread nicer, which needs no privilege. A kernel that
// refuses it leaves a hash that is as pressing as all else: slower for others, not wrong.
func stepBehind() {
	// The system call answers 20 − niceness; 0 is the calling thread (setpriority(2), "C library/kernel differences").
	if level, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, min(20-level+behind, 19))
	}
}
