package batchsign

import "golang.org/x/sys/cpu"

//go:generate sh -c "go run ./gen > kernel_amd64.s"

// Available reports whether this processor multiplies eight digits of 52 bits at a
// time, and the system keeps its wide registers.
var Available = cpu.X86.HasAVX512F && cpu.X86.HasAVX512IFMA && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL

// multiply sets out to a*b/R modulo m, lane by lane: below m + a*b/R. m is odd,
// inverse is -1/m modulo 2^52. The arguments may be the same.
//
//go:noescape
func multiply(out, a, b, m *lanes, inverse *[8]uint64)

// square is multiply of a and a. It needs room for the product, and wipes it.
//
//go:noescape
func square(out, a, m *lanes, inverse *[8]uint64, product *[2]lanes)

// pick sets each lane of out to that lane of the table's entry that wanted names,
// 0 to 31, and reads all entries.
//
//go:noescape
func pick(out *lanes, table *[32]lanes, wanted *[8]uint64)
