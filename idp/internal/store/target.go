package store

import "bytes"

var (
	targetMark = []byte(`"targetAgentId":"`)
	quote      = []byte(`"`)
)

// Target is the agent that the event was done to, if it is another than the
// one that acted; else "". It comes from the signed bytes, so that anybody can hold
// a list by target against the log. No text in RFC 8785 holds a quote that is not
// escaped: the mark is always the name of a member.
func (e *EventRow) Target() string {
	_, rest, named := bytes.Cut(e.Body, targetMark)
	if !named {
		return ""
	}
	target, _, whole := bytes.Cut(rest, quote)
	if !whole || string(target) == e.AgentID {
		return ""
	}
	return string(target)
}
