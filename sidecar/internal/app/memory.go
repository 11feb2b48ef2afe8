package app

import "runtime/debug"

// settle gives back what only the start needed, most of it garbage of the
// policy's compiler and its tests: as much as the sidecar keeps, and the heap
// would be let grow to twice of both.
func settle() { debug.FreeOSMemory() }
