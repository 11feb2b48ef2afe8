package decision

import (
	"bytes"
	"iter"
)

// A batch may travel short: without each prevHash that its reader can compute,
// which is half of what a record takes once it is compressed. The first and the
// last line of a batch keep theirs, and with them every line that is no decision
// or follows none. Nothing is lost of the chain: Restore makes the line again byte
// for byte, and the next prevHash that did travel holds the hash of all that was restored.

var (
	openMark     = []byte(`{"sequence":`)
	prevHashMark = []byte(`,"prevHash":"`)
	// Behind the sequence of a decision; a gap has no id. Only sidecars write it
	// there, so that a line of other making is never taken for a short one.
	idMark = []byte(`,"decisionId":`)
)

const hashDigits = 64

// Short gives the short form of a batch in pieces of lines: NDJSON, each line with
// its LF, in the order of members that Record has.
func Short(lines []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start, follows := 0, false
		for at := 0; at < len(lines); {
			end := at + bytes.IndexByte(lines[at:], '\n') + 1
			if end == at {
				break
			}
			from, to := linkOf(lines[at:end])
			if follows && to > 0 && end < len(lines) {
				if !yield(lines[start : at+from]) {
					return
				}
				start = at + to
			}
			follows = to > 0
			at = end
		}
		yield(lines[start:])
	}
}

// linkOf finds the prevHash of a decision that has one: member and comma are line[from:to].
func linkOf(line []byte) (from, to int) {
	from = afterSequence(line)
	to = from + len(prevHashMark) + hashDigits + 1
	if from == 0 || len(line) < to || !bytes.HasPrefix(line[from:], prevHashMark) || line[to-1] != '"' || !bytes.HasPrefix(line[to:], idMark) {
		return 0, 0
	}
	return from, to
}

// afterSequence is where the second member's comma stands; 0 when the first is no sequence.
func afterSequence(line []byte) int {
	if !bytes.HasPrefix(line, openMark) {
		return 0
	}
	at := len(openMark)
	for at < len(line) && line[at] >= '0' && line[at] <= '9' {
		at++
	}
	return at
}

// Restore appends to b the line that travelled short, without its LF, behind one
// with the anchor. short is false of a line that did not.
func Restore(b, line []byte, anchor string) (whole []byte, short bool) {
	at := afterSequence(line)
	if anchor == "" || at == 0 || !bytes.HasPrefix(line[at:], idMark) {
		return b, false
	}
	b = append(append(b, line[:at]...), prevHashMark...)
	return append(append(append(b, anchor...), '"'), line[at:]...), true
}
