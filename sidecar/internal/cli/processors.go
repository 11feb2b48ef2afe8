package cli

import (
	"os"
	"runtime"
)

// spareProcessor gives a program on a single core a second processor of the
// scheduler. With one, every wait for the disk, of which the spool has ten a
// second, stops all requests until the scheduler looks, up to 10 ms later. Who
// sets GOMAXPROCS knows better.
func spareProcessor() {
	if runtime.GOMAXPROCS(0) == 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2)
	}
}
