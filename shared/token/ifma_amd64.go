package token

import "golang.org/x/sys/cpu"

// hasIFMA: the processor multiplies eight digits of 52 bits at a time, and the
// system keeps its wide registers.
var hasIFMA = cpu.X86.HasAVX512F && cpu.X86.HasAVX512IFMA && cpu.X86.HasBMI2

// montgomery52 sets out to a*b/2^2080 modulo n, less than 2n if a and b are. n is
// odd, k0 is -1/n modulo 2^52. The arguments may be the same.
//
//go:noescape
func montgomery52(out, a, b, n *digits, k0 uint64)
