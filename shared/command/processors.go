package command

import (
	"os"
	"runtime"
)

// SpareProcessor gives a program on a single core a second processor of the
// scheduler. With one, every wait for the disk, of which a log that is written
// before the answer has many a second, stops all requests until the scheduler
// looks, up to 10 ms later. Who sets GOMAXPROCS knows better. Call it when
// everything is composed that is sized by the cores.
func SpareProcessor() {
	if runtime.GOMAXPROCS(0) == 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2)
	}
}
