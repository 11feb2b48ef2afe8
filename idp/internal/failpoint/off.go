//go:build !faultinject

package failpoint

import "time"

// Hit does what is armed for the point.
func Hit(Point) {}

// Error is Hit, and returns err unless an error is armed.
func Error(_ Point, err error) error { return err }

// Clock is now, moved by the offset in force.
func Clock(now func() time.Time) func() time.Time { return now }
