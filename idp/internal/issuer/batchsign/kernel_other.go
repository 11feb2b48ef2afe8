//go:build !amd64

package batchsign

// Available is false: the kernels are for amd64.
const Available = false

func multiply(_, _, _, _ *lanes, _ *[8]uint64)         { panic(unavailable) }
func square(_, _, _ *lanes, _ *[8]uint64, _ *[2]lanes) { panic(unavailable) }
func pick(_ *lanes, _ *[32]lanes, _ *[8]uint64)        { panic(unavailable) }

const unavailable = "batchsign: not on this processor"
