//go:build !linux

package lab

// On runs start: the system decides where programs run.
func On(_ []int, start func() error) error { return start() }

func bindSelf([]int) error { return nil }

func allowed() []int { return nil }

// Cores are those that a process may use; nil where the system does not tell.
func Cores(int) []int { return nil }

func renice(int, int) error { return nil }
