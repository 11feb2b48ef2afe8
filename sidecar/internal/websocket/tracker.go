package websocket

import (
	"encoding/binary"
	"errors"
	"math"
)

// Bits and opcodes of a frame's head (RFC 6455 section 5.2).
const (
	final      = 0x80
	compressed = 0x40 // RSV1: of permessage-deflate (RFC 7692 section 6)
	reserved   = 0x30 // RSV2 and RSV3: of nothing that passes here
	opcode     = 0x0f
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa
	control    = 0x8 // the opcode's bit

	masked     = 0x80
	length7    = 0x7f
	length16   = 126
	length64   = 127
	maxControl = 125
)

// MaxHead is the longest head of a frame, in bytes.
const MaxHead = 14

// What a Tracker finds wrong.
var (
	ErrProtocol = errors.New("the peer does not keep to RFC 6455")
	ErrTooBig   = errors.New("the message is too big")
)

// Tracker follows the frames of one direction of a connection. The zero value
// follows a server; the fields are set before the first byte. After an error it
// takes nothing more.
type Tracker struct {
	Client     bool  // the bytes are a client's: every frame is masked, else none is
	Compressed bool  // permessage-deflate was agreed upon
	Limit      int64 // bytes of a message, over all of its frames; 0: none

	left       int64 // payload bytes of the current frame to come
	message    int64 // payload bytes of the open message that were announced
	fragmented bool  // a message waits for its continuation
	closed     bool  // a Close frame came
	err        error
}

// Boundary reports whether the next byte begins a frame: another one can stand
// before it.
func (t *Tracker) Boundary() bool { return t.left == 0 }

// Left is how many payload bytes of the current frame are still to come.
func (t *Tracker) Left() int64 { return t.left }

// Closed reports whether a Close frame has begun. Nothing may follow it.
func (t *Tracker) Closed() bool { return t.closed }

// Next takes the bytes that came and says how many may be passed on: whole
// heads and payload. Without an error the rest, shorter than MaxHead, is the
// beginning of a head; present it again together with what follows. With one,
// what is wrong begins there.
func (t *Tracker) Next(p []byte) (n int, err error) {
	if t.err != nil {
		return 0, t.err
	}
	for {
		payload := min(t.left, int64(len(p)-n))
		t.left -= payload
		n += int(payload)
		size, length := head(p[n:])
		if size == 0 {
			return n, t.early(p[n:])
		}
		if t.err = t.frame(p[n], p[n+1], length); t.err != nil {
			return n, t.err
		}
		n += size
		t.left = length
	}
}

// early refuses a head before it is whole, by what came of it: a peer that
// speaks something else is not waited for.
func (t *Tracker) early(p []byte) error {
	if len(p) >= 2 {
		t.err = t.shape(p[0], p[1])
	} else if len(p) == 1 {
		t.err = t.shape(p[0], t.maskBit())
	}
	return t.err
}

func (t *Tracker) maskBit() byte {
	if t.Client {
		return masked
	}
	return 0
}

// head reads the sizes of a frame's head and of its payload; size is 0 as long
// as p does not hold the whole head, length -1 when it has no valid form.
func head(p []byte) (size int, length int64) {
	if len(p) < 2 {
		return 0, 0
	}
	size, length = 2, int64(p[1]&length7)
	switch length {
	case length16:
		size = 4
	case length64:
		size = 10
	}
	extended := size
	if p[1]&masked != 0 {
		size += 4
	}
	if len(p) < size {
		return 0, 0
	}
	switch extended {
	case 4:
		length = int64(binary.BigEndian.Uint16(p[2:]))
		if length < length16 {
			length = -1 // section 5.2: the minimal number of bytes
		}
	case 10:
		value := binary.BigEndian.Uint64(p[2:])
		if length = int64(value); value > math.MaxInt64 || length <= math.MaxUint16 {
			length = -1
		}
	}
	return size, length
}

// shape judges what the first two bytes of a head say.
func (t *Tracker) shape(first, second byte) error {
	op := first & opcode
	switch {
	case t.closed, // section 5.5.1: a Close frame is the last one
		first&reserved != 0,
		second&masked != t.maskBit():
		return ErrProtocol
	case op&control != 0:
		if op > opPong || first&final == 0 || first&compressed != 0 || second&length7 > maxControl {
			return ErrProtocol // section 5.5
		}
	case op > opBinary,
		(op == opContinue) != t.fragmented, // section 5.4
		first&compressed != 0 && (!t.Compressed || op == opContinue):
		return ErrProtocol
	}
	return nil
}

// frame judges a whole head and begins its frame.
func (t *Tracker) frame(first, second byte, length int64) error {
	if err := t.shape(first, second); err != nil {
		return err
	}
	op := first & opcode
	switch {
	case length < 0:
		return ErrProtocol
	case op == opClose:
		if length == 1 {
			return ErrProtocol // section 5.5.1: a code has two bytes
		}
		t.closed = true
	case op&control == 0:
		if op != opContinue {
			t.message = 0
		}
		if t.Limit > 0 && length > t.Limit-t.message {
			return ErrTooBig
		}
		t.message += length
		t.fragmented = first&final == 0
	}
	return nil
}
