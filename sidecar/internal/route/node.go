package route

import (
	"bytes"
	"strings"
)

// node is one segment of a trie. Each is visited at most once in a search.
type node struct {
	literals map[string]*node
	param    *node
	ends     []*shape // patterns that end here; one in the exact trie
	rests    []*shape // patterns that go on with /**
}

// search walks on with rest, the path behind a slash; done says that the
// segment before was the last.
func (n *node) search(rest []byte, done bool) []*shape {
	if done {
		if len(n.ends) > 0 {
			return n.ends
		}
		return n.rests
	}
	segment, behind, more := bytes.Cut(rest, []byte{'/'})
	if next := n.literals[string(segment)]; next != nil {
		if found := next.search(behind, !more); len(found) > 0 {
			return found
		}
	}
	if n.param != nil && len(segment) > 0 {
		if found := n.param.search(behind, !more); len(found) > 0 {
			return found
		}
	}
	return n.rests
}

// insert adds a shape under its pattern; fold is applied to literals.
func (n *node) insert(pattern string, s *shape, fold func(string) string) {
	for segment := range strings.SplitSeq(pattern[1:], "/") {
		if segment == "**" {
			n.rests = append(n.rests, s)
			return
		}
		n = n.child(segment, fold)
	}
	n.ends = append(n.ends, s)
}

func (n *node) child(segment string, fold func(string) string) *node {
	if strings.HasPrefix(segment, "{") {
		if n.param == nil {
			n.param = &node{}
		}
		return n.param
	}
	if n.literals == nil {
		n.literals = map[string]*node{}
	}
	literal := fold(segment)
	if n.literals[literal] == nil {
		n.literals[literal] = &node{}
	}
	return n.literals[literal]
}
