package auditlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
)

// exportStack is the tree so far: its complete subtrees, largest first, as many
// as size has bits (RFC 6962 section 2.1).
type exportStack struct {
	size    int64
	trees   []subtree
	skipped exportSubtree // the line before, if it was a subtree; Level -1: it was not
}

func (s *exportStack) leaf(hash tlog.Hash) {
	s.add(0, hash)
	s.skipped.Level = -1
}

// subtree adds a subtree where it belongs, if a tree of limit leaves has it and
// it is the largest that could stand there, or one that Export may have given
// before it knew that nothing fits behind.
func (s *exportStack) subtree(t exportSubtree, limit int64) error {
	switch {
	case t.Level < 0 || t.Level > 61 || t.Index < 0 || t.Index > limit>>t.Level:
		return errors.New("no such subtree")
	case t.Index<<t.Level != s.size:
		return fmt.Errorf("the subtree begins at event %d, in the place of event %d", t.Index<<t.Level, s.size)
	case limit-s.size < 1<<t.Level:
		return fmt.Errorf("the subtree ends after event %d, the last under the checkpoint", limit-1)
	case t.Level < exportStride && t.Index&1 == 1 && len(s.trees) > 0 && s.skipped.Level == t.Level && s.skipped.Index == t.Index-1:
		return errors.New("the subtree and the one before are one larger subtree")
	}
	s.add(t.Level, t.Hash)
	s.skipped = t
	return nil
}

func (s *exportStack) add(level int, hash tlog.Hash) {
	s.size += 1 << level
	for n := len(s.trees) - 1; n >= 0 && s.trees[n].level == level; n-- {
		level, hash = level+1, tlog.NodeHash(s.trees[n].hash, hash)
		s.trees = s.trees[:n]
	}
	s.trees = append(s.trees, subtree{level, hash})
	if bits.OnesCount64(uint64(s.size)) != len(s.trees) {
		panic(fmt.Sprintf("%d subtrees for %d events", len(s.trees), s.size))
	}
}

func (s *exportStack) root() tlog.Hash {
	last := len(s.trees) - 1
	hash := s.trees[last].hash
	for i := last - 1; i >= 0; i-- {
		hash = tlog.NodeHash(s.trees[i].hash, hash)
	}
	return hash
}

var errSpelling = errors.New("the line is not spelt as an export spells it")

// parseExportHeader accepts the one spelling of a header.
func parseExportHeader(line []byte) (*exportHeader, error) {
	parsed, err := parseExportLine(line)
	if err != nil {
		return nil, fmt.Errorf("not the header of an export: %w", err)
	}
	header := parsed.Export
	if header == nil || parsed.Subtree != nil {
		return nil, errors.New("not the header of an export")
	}
	if header.Version != exportVersion {
		return nil, fmt.Errorf("an export of version %d, which this program does not know", header.Version)
	}
	for _, at := range []string{header.From, header.To} {
		if t, err := time.Parse(idp.TimeLayout, at); at != "" && (err != nil || formatTime(t) != at) {
			return nil, fmt.Errorf("%q is not a time", at)
		}
	}
	return header, nil
}

// parseExportSubtree accepts the one spelling of a subtree.
func parseExportSubtree(line []byte) (*exportSubtree, error) {
	parsed, err := parseExportLine(line)
	if err != nil {
		return nil, err
	}
	if parsed.Subtree == nil || parsed.Export != nil {
		return nil, errSpelling
	}
	return parsed.Subtree, nil
}

// parseExportLine refuses a line that would be written differently: unknown,
// repeated and reordered members, spaces, whatever follows.
func parseExportLine(line []byte) (exportLine, error) {
	var parsed exportLine
	if err := json.Unmarshal(line, &parsed); err != nil {
		return parsed, fmt.Errorf("%w: %w", errSpelling, err)
	}
	spelt, err := parsed.encode()
	if err != nil {
		return parsed, err
	}
	if !bytes.Equal(bytes.TrimSuffix(spelt, []byte("\n")), line) {
		return parsed, errSpelling
	}
	return parsed, nil
}

// parseExportEvent accepts the one spelling of an event, its leaf.
func parseExportEvent(line []byte) (idp.Event, error) {
	var e idp.Event
	if !bytes.HasPrefix(line, []byte(`{"action":`)) {
		return e, errors.New("neither an event nor a subtree")
	}
	var form struct {
		Action         idp.Action     `json:"action"`
		AgentID        string         `json:"agentId"`
		EventID        string         `json:"eventId"`
		IPAddress      string         `json:"ipAddress"`
		Metadata       map[string]any `json:"metadata"`
		OrganizationID string         `json:"organizationId"`
		Outcome        idp.Outcome    `json:"outcome"`
		Reason         string         `json:"reason"`
		RequestID      string         `json:"requestId"`
		Sequence       int64          `json:"sequence"`
		Timestamp      string         `json:"timestamp"`
		UserAgent      string         `json:"userAgent"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&form); err != nil {
		return e, fmt.Errorf("not an event: %w", err)
	}
	at, err := time.Parse(idp.TimeLayout, form.Timestamp)
	if err != nil {
		return e, fmt.Errorf("not an event: timestamp: %w", err)
	}
	if err := plainNumbers(form.Metadata); err != nil {
		return e, fmt.Errorf("not an event: %w", err)
	}
	e = idp.Event{
		ID: form.EventID, Sequence: form.Sequence, OrganizationID: form.OrganizationID, AgentID: form.AgentID, Action: form.Action, Outcome: form.Outcome,
		Reason: form.Reason, Origin: idp.Origin{IPAddress: form.IPAddress, UserAgent: form.UserAgent, RequestID: form.RequestID},
		Metadata: form.Metadata, Timestamp: at,
	}
	spelt, err := Encode(&e)
	if err != nil {
		return e, err
	}
	if !bytes.Equal(spelt, line) {
		return e, errors.New("the event is not in the canonical form that was hashed (RFC 8785)")
	}
	return e, nil
}

// plainNumbers makes of the numbers in an object what events hold: int64 where
// they are, else float64.
func plainNumbers(object map[string]any) (err error) {
	for name, value := range object {
		if object[name], err = plainNumber(value); err != nil {
			return err
		}
	}
	return nil
}

func plainNumber(value any) (_ any, err error) {
	switch v := value.(type) {
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			if n, err := v.Int64(); err == nil {
				return n, nil
			}
		}
		return v.Float64()
	case map[string]any:
		return v, plainNumbers(v)
	case []any:
		for i := range v {
			if v[i], err = plainNumber(v[i]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}
