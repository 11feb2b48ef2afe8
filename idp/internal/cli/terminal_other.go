//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package cli

import "errors"

func isTerminal(any) bool { return false }

func silence(any) (restore func(), err error) { return nil, errors.New("not a terminal") }
