package obs

import (
	"runtime"
	"time"
)

// How much of contention is recorded: cheap enough to leave on under full load.
const (
	mutexFraction = 100                    // one contended unlock in so many
	blockRate     = 100 * time.Microsecond // one sample for so much waiting
)

// RecordContention makes the runtime record who waits for whom, for the mutex
// and block profiles, until the process ends.
func RecordContention() {
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(int(blockRate))
}
