//go:build !linux

package main

type mask uint64

// bind does nothing: the system decides where programs run.
func bind(int, mask) error { return nil }

func affinity(int) (mask, error) { return 0, nil }
