package batchsign

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// value is what a general register holds: a number that is known, a pointer into
// an argument's memory, or something secret.
type value struct {
	secret bool
	region string // of a pointer
	number int64  // or the pointer's offset
}

// machine runs a kernel with all that its pointers lead to secret. What is public
// is computed, so that each loop runs as often as it does; what is secret spreads.
type machine struct {
	general map[string]value
	secret  map[string]bool           // vector and mask registers
	memory  map[string]map[int64]bool // what was stored: secret or not
	zero    bool                      // the flag
	tainted bool                      // the flags
	counts  map[string]int            // what was executed
	errs    []string
}

var (
	operandRE = regexp.MustCompile(`^(?:(-?\d+))?\((\w+)\)$`)
	frameRE   = regexp.MustCompile(`^(\w+)\+\d+\(FP\)$`)
)

func isVector(s string) bool { return len(s) > 1 && (s[0] == 'Z' || s[0] == 'X') && s[1] <= '9' }
func isMask(s string) bool   { return len(s) == 2 && s[0] == 'K' }

// alias is a vector register's name at any width.
func alias(s string) string { return strings.Replace(s, "X", "Z", 1) }

func (m *machine) fail(line, format string, args ...any) {
	m.errs = append(m.errs, fmt.Sprintf(format, args...)+": "+line)
}

// address resolves a memory operand; one that depends on a secret is a failure.
func (m *machine) address(line, s string) (region string, offset int64, is bool) {
	part := operandRE.FindStringSubmatch(s)
	if part == nil {
		return "", 0, false
	}
	base := m.general[part[2]]
	if base.secret || base.region == "" {
		m.fail(line, "an address depends on a secret")
		return "?", 0, true
	}
	offset, _ = strconv.ParseInt(part[1], 10, 64)
	return base.region, base.number + offset, true
}

// holds reports whether an operand is secret.
func (m *machine) holds(line, s string) bool {
	switch {
	case strings.HasPrefix(s, "$"):
		return false
	case isVector(s) || isMask(s):
		return m.secret[alias(s)]
	}
	if region, offset, is := m.address(line, s); is {
		stored, known := m.memory[region][offset]
		return !known || stored
	}
	return m.general[s].secret
}

// set gives a register or a place in memory what an instruction makes.
func (m *machine) set(line, s string, secret bool) {
	if isVector(s) || isMask(s) {
		m.secret[alias(s)] = secret
		return
	}
	if region, offset, is := m.address(line, s); is {
		if m.memory[region] == nil {
			m.memory[region] = map[int64]bool{}
		}
		m.memory[region][offset] = secret
		return
	}
	m.general[s] = value{secret: secret}
}

func literal(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "$"), 0, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// load is a load, a store or a move between registers.
func (m *machine) load(line, from, to string) {
	if frame := frameRE.FindStringSubmatch(from); frame != nil {
		m.general[to] = value{region: frame[1]}
		return
	}
	if strings.HasPrefix(from, "$") {
		m.general[to] = value{number: literal(from)}
		return
	}
	m.set(line, to, m.holds(line, from))
}

// add is public arithmetic, or a secret's.
func (m *machine) add(line, by, to string, sign int64) {
	v, term := m.general[to], value{number: 0}
	if strings.HasPrefix(by, "$") {
		term.number = literal(by)
	} else {
		term = m.general[by]
	}
	v.number += sign * term.number
	v.secret = v.secret || term.secret
	m.general[to] = v
	m.zero, m.tainted = v.number == 0, v.secret
}

// sameTime are the instructions that compute from vectors alone, and whose time
// does not depend on their data.
var sameTime = []string{"VPMADD52LUQ", "VPMADD52HUQ", "VPADDQ", "VPSRLQ", "VPANDQ", "VPXORQ", "VPBROADCASTQ", "VPCMPEQQ", "KXORW"}

// step executes a line, and reports whether a jump is taken.
func (m *machine) step(line string) (jump bool) {
	name, rest, _ := strings.Cut(line, " ")
	args := strings.Split(rest, ", ")
	to := args[len(args)-1]
	m.counts[name]++
	masked := slices.ContainsFunc(args, isMask) && len(args) == 3
	switch {
	case name == "VMOVDQU64" && masked && m.holds(line, args[1]):
		m.fail(line, "an access to memory under a secret mask")
	case name == "VMOVDQA64" && masked:
		if operandRE.MatchString(args[0]) || operandRE.MatchString(to) {
			m.fail(line, "an access to memory under a mask")
		}
		m.set(line, to, m.holds(line, args[0]) || m.holds(line, args[1]) || m.holds(line, to))
	case name == "MOVQ" || name == "VMOVDQU64" || name == "VMOVDQA64" || name == "VMOVQ":
		m.load(line, args[0], to)
	case (name == "VPXORQ" || name == "KXORW") && args[0] == args[1]:
		m.set(line, to, false)
	case slices.Contains(sameTime, name):
		secret := strings.HasPrefix(name, "VPMADD52") && m.holds(line, to)
		for _, from := range args[:len(args)-1] {
			secret = secret || m.holds(line, from)
		}
		m.set(line, to, secret)
	case name == "ADDQ":
		m.add(line, args[0], to, 1)
	case name == "DECQ":
		m.add(line, "$1", to, -1)
	case name == "KORTESTW":
		m.zero, m.tainted = false, m.holds(line, args[0]) || m.holds(line, args[1])
	case name == "JNZ":
		if m.tainted {
			m.fail(line, "a branch depends on a secret")
		}
		return !m.zero && !m.tainted
	case name == "VZEROUPPER" || name == "RET":
	default:
		m.fail(line, "not known to take the same time whatever its data")
	}
	return false
}

// left says what a kernel leaves behind.
func (m *machine) left() {
	for register, secret := range m.secret {
		if secret {
			m.fail("RET", "%s is left with a secret", register)
		}
	}
	for register, v := range m.general {
		if v.secret {
			m.fail("RET", "%s is left with a secret", register)
		}
	}
	for offset, secret := range m.memory["product"] {
		if secret {
			m.fail("RET", "the product is left at %d", offset)
		}
	}
}

// kernelsOf cuts assembly into kernels, of instructions and labels.
func kernelsOf(source string) map[string][]string {
	kernels := map[string][]string{}
	var name string
	for _, line := range strings.Split(source, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "TEXT ·"):
			name, _, _ = strings.Cut(strings.TrimPrefix(line, "TEXT ·"), "(")
		case line == "" || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "#"):
		default:
			kernels[name] = append(kernels[name], line)
		}
	}
	return kernels
}

// run executes a kernel to its end.
func run(lines []string) *machine {
	m := &machine{general: map[string]value{}, secret: map[string]bool{}, memory: map[string]map[int64]bool{}, counts: map[string]int{}}
	for at, steps := 0, 0; at < len(lines) && steps < 1e5; at, steps = at+1, steps+1 {
		line := lines[at]
		if strings.HasSuffix(line, ":") {
			continue
		}
		if m.step(line) {
			_, label, _ := strings.Cut(line, " ")
			at = slices.Index(lines, label+":")
		}
		if line == "RET" {
			m.left()
			return m
		}
	}
	m.fail("", "it does not end")
	return m
}

func kernelSource(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("kernel_amd64.s")
	require.NoError(t, err)
	return string(source)
}

// Whatever the numbers, a kernel executes the same instructions at the same
// addresses, none of which takes a time of its data's, and leaves nothing of them.
func TestNoSecretDecides(t *testing.T) {
	kernels := kernelsOf(kernelSource(t))
	require.Len(t, kernels, 3)
	document, err := os.ReadFile("../../../../docs/batchsign.md")
	require.NoError(t, err)
	all := map[string]map[string]int{}
	for name, lines := range kernels {
		m := run(lines)
		require.Empty(t, m.errs, name)
		for instruction, n := range m.counts {
			if all[instruction] == nil {
				all[instruction] = map[string]int{}
			}
			all[instruction][name] = n
		}
	}
	for instruction, n := range all {
		row := fmt.Sprintf("| `%s` | %d | %d | %d |", instruction, n["multiply"], n["square"], n["pick"])
		require.Contains(t, string(document), row, "docs/batchsign.md counts what is executed")
	}
}

// The checker finds each kind of leak that is put into a kernel.
func TestTheCheckerFindsLeaks(t *testing.T) {
	source := kernelSource(t)
	for _, leak := range []struct{ name, kernel, old, now, finds string }{
		{"a loop's length", "pick", "MOVQ $32, AX", "MOVQ 0(CX), AX", "a branch depends on a secret"},
		{"a table's index", "pick", "VPXORQ Z22, Z22, Z22", "MOVQ 8(CX), AX\nADDQ AX, SI", "an address depends on a secret"},
		{"an early end", "pick", "VPADDQ Z23, Z22, Z22", "VPADDQ Z23, Z22, Z22\nKORTESTW K1, K1\nJNZ entry", "a branch depends on a secret"},
		{"a load under a mask", "pick", "VMOVDQA64 Z24, K1, Z3", "VMOVDQU64 192(SI), K1, Z3", "under a secret mask"},
		{"a division", "multiply", "VPSRLQ $52, Z0, Z26", "VPSRLQ $52, Z0, Z26\nDIVQ BX", "not known to take the same time"},
		{"a digit in an address", "multiply", "VPXORQ Z22, Z22, Z22", "VMOVQ X0, AX\nADDQ AX, DX", "an address depends on a secret"},
		{"a digit by way of memory", "square", "VPXORQ Z22, Z22, Z22", "MOVQ 0(R8), AX\nADDQ AX, DX", "an address depends on a secret"},
		{"a gather", "pick", "VMOVDQA64 Z24, K1, Z0", "VPGATHERQQ (SI)(Z21*8), K1, Z0", "not known to take the same time"},
		{"a register that is left", "square", "VPXORQ Z28, Z28, Z28\n\tVPXORQ Z29, Z29, Z29\n\tVZEROUPPER", "VZEROUPPER", "Z28 is left with a secret"},
		{"a mask that is left", "pick", "KXORW K1, K1, K1", "", "K1 is left with a secret"},
		{"a product that is left", "square", "VMOVDQU64 Z22, 2496(R8)", "", "the product is left at 2496"},
	} {
		t.Run(leak.name, func(t *testing.T) {
			head, kernel, found := strings.Cut(source, "TEXT ·"+leak.kernel+"(")
			require.True(t, found)
			require.Contains(t, kernel, leak.old)
			mutated := head + "TEXT ·" + leak.kernel + "(" + strings.Replace(kernel, leak.old, leak.now, 1)
			m := run(kernelsOf(mutated)[leak.kernel])
			require.Contains(t, strings.Join(m.errs, "\n"), leak.finds)
		})
	}
}
