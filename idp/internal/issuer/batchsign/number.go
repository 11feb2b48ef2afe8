package batchsign

import (
	"encoding/binary"
	"math/bits"
)

const (
	digits     = 20 // of a number below R = 2^1040
	digitBits  = 52
	digitMask  = 1<<digitBits - 1
	primeBytes = 128
	keyBytes   = 2 * primeBytes
)

// lanes are eight numbers, digit by digit.
type lanes [digits][8]uint64

// number is one of them, as loops over its digits take it. Secret ones are passed
// by pointer: what is returned by value leaves a copy on the stack.
type number [digits]uint64

// wide is a number below 2^2080.
type wide [2 * digits]uint64

// set puts n into a lane.
func (e *lanes) set(lane int, n *number) {
	for j := range n {
		e[j][lane] = n[j]
	}
}

// get reads a lane into n.
func (e *lanes) get(lane int, n *number) {
	for j := range n {
		n[j] = e[j][lane]
	}
}

// read takes big-endian bytes.
func (n *number) read(b *[primeBytes]byte) {
	for j := range n {
		n[j] = bitsAt(b[:], digitBits*j)
	}
}

// read takes big-endian bytes.
func (n *wide) read(b *[keyBytes]byte) {
	for j := range n {
		n[j] = bitsAt(b[:], digitBits*j)
	}
}

// bitsAt are the 52 bits of big-endian bytes from the bit of value 2^first on.
func bitsAt(b []byte, first int) uint64 {
	var window [8]byte // big-endian, its last byte holds the first bit
	end := len(b) - first/8
	copy(window[max(0, 8-end):], b[max(0, end-8):max(0, end)])
	return binary.BigEndian.Uint64(window[:]) >> uint(first%8) & digitMask
}

// put writes the number's lower 2048 bits as big-endian bytes.
func (n *wide) put(b *[keyBytes]byte) {
	var held uint64 // bits that are not written yet, fewer than 8 between digits
	count, at := 0, keyBytes-1
	for _, digit := range n {
		held |= digit << uint(count)
		for count += digitBits; count >= 8 && at >= 0; count -= 8 {
			b[at] = byte(held)
			held >>= 8
			at--
		}
	}
}

// below is all ones, if n is less than m, and else zero.
func (n *wide) below(m *wide) uint64 {
	var borrow int64
	for j := range n {
		borrow = (int64(n[j]) - int64(m[j]) + borrow) >> digitBits
	}
	return uint64(borrow)
}

// correct subtracts m, if n is not below it. The digits of n are below 2^52.
func (n *number) correct(m *number) {
	var borrow int64
	for j := range n {
		borrow = (int64(n[j]) - int64(m[j]) + borrow) >> digitBits
	}
	subtract := ^uint64(borrow) // zero if n is below m, or all ones
	borrow = 0
	for j := range n {
		v := int64(n[j]) - int64(m[j]&subtract) + borrow
		n[j], borrow = uint64(v)&digitMask, v>>digitBits
	}
}

// double sets n, below m, to 2n modulo m.
func (n *number) double(m *number) {
	var carry uint64
	for j := range n {
		v := n[j]<<1 | carry
		n[j], carry = v&digitMask, v>>digitBits
	}
	n.correct(m)
}

// negativeInverse is -1/x modulo 2^52, of an odd x: each step doubles the bits
// that are right, of which x itself has three.
func negativeInverse(x uint64) uint64 {
	inverse := x
	for range 5 {
		inverse *= 2 - x*inverse
	}
	return -inverse & digitMask
}

// linear sets out to low + a*b, which is below 2^2080. A column's sum is below
// 20*2^104 + 2^52 and what the column before left: 128 bits hold it.
func linear(out *wide, low, a, b *number) {
	var high, sum, carry uint64
	for column := range out {
		if column < digits {
			sum, carry = bits.Add64(sum, low[column], 0)
			high += carry
		}
		for j := max(0, column-digits+1); j <= min(column, digits-1); j++ {
			top, bottom := bits.Mul64(a[j], b[column-j])
			sum, carry = bits.Add64(sum, bottom, 0)
			high += top + carry
		}
		out[column] = sum & digitMask
		sum, high = sum>>digitBits|high<<(64-digitBits), high>>digitBits
	}
}
