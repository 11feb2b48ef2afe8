package store

import "time"

// Migration is one step of a backend's schema.
type Migration struct {
	Version   int64
	Name      string    // of the file, without folder
	AppliedAt time.Time // zero: not yet
}
