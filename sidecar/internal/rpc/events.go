package rpc

import (
	"bytes"
	"errors"
	"io"
)

// Events reads a stream of server-sent events, whose data are messages, through
// a filter. An event goes on as soon as it is whole; one that is not changed
// goes on byte for byte.
type Events struct {
	from   io.Reader
	filter Filter
	most   int
	in     []byte // an event that is not whole yet
	seen   int    // of in: lines that were looked at, and end no event
	ready  []byte // to be read
	begun  bool
	err    error
}

// NewEvents reads from. An event of more than most bytes is an error, as is
// one with data that is no message.
func NewEvents(from io.Reader, filter Filter, most int) *Events {
	return &Events{from: from, filter: filter, most: most}
}

// Read implements io.Reader. Errors are those of from, ErrAnswer and the filter's own.
func (e *Events) Read(p []byte) (int, error) {
	for len(e.ready) == 0 && e.err == nil {
		e.fill()
	}
	if len(e.ready) > 0 {
		n := copy(p, e.ready)
		e.ready = e.ready[n:]
		return n, nil
	}
	return 0, e.err
}

// fill reads on, and makes ready what is whole.
func (e *Events) fill() {
	const piece = 16 << 10
	had := len(e.in)
	e.in = append(e.in, make([]byte, piece)...)
	n, err := e.from.Read(e.in[had:])
	e.in = e.in[:had+n]
	if !e.begun && len(e.in) > 0 {
		e.begun = true
		if e.in[0] == 0xef { // of a byte order mark, which some readers skip
			e.err = ErrAnswer
		}
	}
	for e.err == nil {
		size, lines := whole(e.in, e.seen)
		if e.seen = lines; size == 0 {
			break
		}
		e.err = e.pass(e.in[:size])
		e.in, e.seen = e.in[size:], 0
	}
	if errors.Is(err, io.EOF) && e.err == nil && len(e.in) > 0 {
		e.err = e.pass(e.in) // which some readers take
		e.in = nil
	}
	if e.err == nil && len(e.in) > e.most {
		e.err = ErrAnswer
	}
	if e.err == nil {
		e.err = err
	}
}

// whole is the size of the first event of b with the empty line that ends it,
// or of a comment before it; 0: it is not whole. Lines before at are known to
// end nothing, and lines is where that ends now: what comes in small pieces is
// not searched again for each.
func whole(b []byte, at int) (size, lines int) {
	for {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			return 0, at
		}
		line := bytes.TrimSuffix(b[at:at+end], []byte{'\r'})
		first := at == 0
		at += end + 1
		if len(line) == 0 || first && line[0] == ':' {
			return at, at
		}
	}
}

var dataField = []byte("data")

// pass makes one event ready.
func (e *Events) pass(event []byte) error {
	var data [][]byte
	for rest := event; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		value, is, err := dataOf(line)
		if err != nil {
			return err
		}
		if is {
			data = append(data, value)
		}
	}
	message := bytes.Join(data, []byte{'\n'})
	if len(bytes.Trim(message, " \t\n")) == 0 {
		e.ready = append(e.ready, event...)
		return nil
	}
	filtered, _, err := e.filter.Message(message)
	if err != nil {
		return err
	}
	if bytes.Equal(filtered, message) {
		e.ready = append(e.ready, event...)
		return nil
	}
	e.rewrite(event, filtered)
	return nil
}

// rewrite makes the event ready with other data, in the place of the first.
func (e *Events) rewrite(event, message []byte) {
	for rest := event; len(rest) > 0; {
		from := rest
		var line []byte
		line, rest = cutLine(rest)
		if _, is, _ := dataOf(line); !is {
			e.ready = append(e.ready, from[:len(from)-len(rest)]...)
			continue
		}
		for len(message) > 0 {
			var part []byte
			part, message, _ = bytes.Cut(message, []byte{'\n'})
			e.ready = append(append(append(e.ready, "data: "...), part...), '\n')
		}
	}
}

// cutLine takes the first line off, without its end.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}

// dataOf is the value of a data field. A carriage return by itself ends a line
// for some readers only, and a name in capitals, or with spaces around it, is a
// name for some only.
func dataOf(line []byte) (value []byte, is bool, _ error) {
	if bytes.IndexByte(line, '\r') >= 0 {
		return nil, false, ErrAnswer
	}
	name, value, _ := bytes.Cut(line, []byte{':'})
	if !bytes.EqualFold(bytes.TrimSpace(name), dataField) {
		return nil, false, nil
	}
	if !bytes.Equal(name, dataField) {
		return nil, false, ErrAnswer
	}
	return bytes.TrimPrefix(value, []byte{' '}), true, nil
}
