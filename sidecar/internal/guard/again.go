package guard

import "bytes"

// Again splits the first line off a block that Check or ReadAnswer has read to
// its end before: nothing is judged twice. At the end, name is nil.
func Again(block []byte) (name, value, rest []byte) {
	end := bytes.IndexByte(block, '\n')
	if end < 2 {
		return nil, nil, nil
	}
	colon := bytes.IndexByte(block[:end], ':')
	if colon < 0 {
		return nil, nil, nil
	}
	return block[:colon], trim(block[colon+1 : end-1]), block[end+1:]
}
