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

// Point is a place in the program.
type Point string

// The points, in the order in which a request that changes something meets them.
const (
	RequestAdmitted Point = "request-admitted" // authorized, the use case has not begun
	AuditBegun      Point = "audit-begun"      // inside the transaction, nothing written
	AuditApplied    Point = "audit-applied"    // changes made, no event written
	AuditEvents     Point = "audit-events"     // events written, not their leaves
	AuditAppended   Point = "audit-appended"   // everything written, not committed
	StoreCommit     Point = "store-commit"     // the last moment before COMMIT
	StoreCommitted  Point = "store-committed"  // durable, nobody knows
	AuditCommitted  Point = "audit-committed"  // before the callers of the group are told
	RequestDone     Point = "request-done"     // the use case returned, no answer was written
)

// Points are all of them, in order.
func Points() []Point {
	return []Point{RequestAdmitted, AuditBegun, AuditApplied, AuditEvents, AuditAppended, StoreCommit, StoreCommitted, AuditCommitted, RequestDone}
}
