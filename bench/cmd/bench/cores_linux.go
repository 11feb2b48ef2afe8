package main

import (
	"fmt"
	"syscall"
	"unsafe"
)

// mask is a set of up to 64 cores, by bit.
type mask uint64

func bind(task int, cores mask) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(task), unsafe.Sizeof(cores), uintptr(unsafe.Pointer(&cores)))
	if errno != 0 {
		return fmt.Errorf("bind to a core: %w", errno)
	}
	return nil
}

func affinity(task int) (cores mask, err error) {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(task), unsafe.Sizeof(cores), uintptr(unsafe.Pointer(&cores)))
	if errno != 0 {
		return 0, fmt.Errorf("cores of a thread: %w", errno)
	}
	return cores, nil
}
