// Package failpoint names the places where a test can make the process fail.
// Only a binary built with the tag faultinject has them: without it every
// function here is empty, is inlined, and leaves nothing behind.
//
// AGENTIDP_FAULT says what happens where: "point=action[,count=n]", or "@FILE"
// for a file with such a line, which arms and disarms a running process. The
// action takes place at the n-th hit (default the first) since it was armed:
//
//	kill      SIGKILL to the process itself
//	panic     a panic
//	error     Error returns an error
//	sleep:5s  the goroutine sleeps, from the n-th hit on
//
// AGENTIDP_FAULT_CLOCK moves the clock: "+10m", "-30s", or the name of a file
// with such an offset, read at every call so that a test can step the clock.
package failpoint

// Point is a place in the program. It is a number so that a release, in which
// the functions are empty, does not even hold the names.
type Point int

// The points, in the order in which a request that changes something meets them.
const (
	RequestAdmitted Point = iota // authorized, the use case has not begun
	AuditBegun                   // inside the transaction, nothing written
	AuditApplied                 // changes made, no event written
	AuditEvents                  // events written, not their leaves
	AuditAppended                // everything written, not committed
	StoreCommit                  // the last moment before COMMIT
	StoreCommitted               // durable, nobody knows
	AuditCommitted               // before the callers of the group are told
	RequestDone                  // the use case returned, no answer was written
)

var names = [...]string{"request-admitted", "audit-begun", "audit-applied", "audit-events", "audit-appended", "store-commit", "store-committed", "audit-committed", "request-done"}

// String is the point's name in AGENTIDP_FAULT.
func (p Point) String() string { return names[p] }

// Points are all of them, in order.
func Points() []Point {
	points := make([]Point, len(names))
	for i := range points {
		points[i] = Point(i)
	}
	return points
}
