package batchsign

import (
	"math/bits"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bounds runs a kernel on the largest value that each word can have: digits below
// 2^52 come in, and each half of a product is below 2^52.
type bounds struct {
	of       map[string]uint64 // registers, and places in the product
	largest  uint64
	overflow []string
}

// at is what an operand is at most. All memory but the product holds digits.
func (b *bounds) at(s string) uint64 {
	if strings.HasSuffix(s, "(CX)") || strings.HasSuffix(s, "(SI)") || strings.HasSuffix(s, "(BX)") || strings.HasSuffix(s, "(DX)") {
		return digitMask
	}
	return b.of[s]
}

func (b *bounds) add(line, to string, x, y uint64) {
	sum, carry := bits.Add64(x, y, 0)
	if carry != 0 {
		b.overflow = append(b.overflow, line)
	}
	b.of[to] = sum
	b.largest = max(b.largest, sum)
}

func (b *bounds) step(t *testing.T, line string) {
	name, rest, _ := strings.Cut(line, " ")
	args := strings.Split(rest, ", ")
	to := args[len(args)-1]
	switch name {
	case "VMOVDQU64":
		b.of[to] = b.at(args[0])
		if strings.HasSuffix(to, "(DI)") {
			require.LessOrEqual(t, b.of[to], uint64(digitMask), "a digit goes out: %s", line)
		}
	case "VPMADD52LUQ", "VPMADD52HUQ":
		if b.at(args[0]) == 0 || b.at(args[1]) == 0 {
			return
		}
		b.add(line, to, b.of[to], digitMask)
	case "VPADDQ":
		b.add(line, to, b.at(args[0]), b.at(args[1]))
	case "VPSRLQ":
		b.of[to] = b.at(args[1]) >> digitBits
	case "VPANDQ":
		b.of[to] = min(b.at(args[0]), b.at(args[1]))
	case "VPXORQ":
		b.of[to] = 0
	case "VPBROADCASTQ":
		b.of[to] = digitMask // AX
	case "MOVQ", "VZEROUPPER", "RET":
	default:
		t.Fatal("what does this do to a bound:", line)
	}
}

// No word overflows, whatever the digits, and what goes out is digits: a carry that
// is lost once in 2^52 no test of values would see.
func TestNoWordOverflows(t *testing.T) {
	kernels := kernelsOf(kernelSource(t))
	for _, name := range []string{"multiply", "square"} {
		b := &bounds{of: map[string]uint64{}}
		for _, line := range kernels[name] {
			b.step(t, line)
		}
		require.Empty(t, b.overflow, name)
		require.Less(t, b.largest, uint64(1<<59), name)
		require.Greater(t, b.largest, uint64(1<<58), "%s: it is close to what docs/batchsign.md says", name)
	}
	b := &bounds{of: map[string]uint64{}}
	for _, line := range kernels["multiply"] {
		for range 60 { // 60 times as many halves
			b.step(t, line)
		}
	}
	require.NotEmpty(t, b.overflow, "the method finds one")
}
