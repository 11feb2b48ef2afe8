//go:build !linux

package clientauth

// stepBehind does nothing: threads have no niceness of their own here.
func stepBehind() {}
