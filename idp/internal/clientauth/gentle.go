package clientauth

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// hands gives work to a thread that waits for some.
var hands = make(chan func())

// gently runs f, which keeps a core busy for long, on a thread that steps behind
// the others of this program where cores are short: a hash must not take half of a
// core from everybody else's tokens. There are as many such threads as there were
// callers at once. A panic of f is the caller's: on a thread of its own nobody would
// catch it.
func gently(f func()) {
	done := make(chan struct{})
	var fault any
	work := func() {
		defer close(done)
		defer func() {
			if cause := recover(); cause != nil {
				fault = fmt.Sprintf("%v\n\n%s", cause, debug.Stack())
			}
		}()
		f()
	}
	select {
	case hands <- work:
	default:
		go hand(work)
	}
	<-done
	if fault != nil {
		panic(fault)
	}
}

// hand is one of those threads, until there was nothing to do for a while. It does
// not unlock: only a privileged thread could step forward again, so it ends with
// its goroutine.
func hand(work func()) {
	runtime.LockOSThread()
	stepBehind()
	for {
		work()
		select {
		case work = <-hands:
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}
