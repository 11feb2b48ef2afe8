package auditlog

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
)

// The lines of an NDJSON export: the header, then in the order of the leaves
// events as they were hashed, and subtrees in the place of all others. Each has
// one spelling.
type exportLine struct {
	Export  *exportHeader  `json:"export,omitempty"`
	Subtree *exportSubtree `json:"subtree,omitempty"`
}

const exportVersion = 1

type exportHeader struct {
	Version        int    `json:"version"`
	Checkpoint     string `json:"checkpoint"`               // signed note
	OrganizationID string `json:"organizationId,omitempty"` // absent: of the whole log
	From           string `json:"from,omitempty"`
	To             string `json:"to,omitempty"`
	Filter                // what else the events were narrowed by, as it was asked for
}

// narrowed is what the event of the export says of its filter. It is not done to
// the agent that its events were done to: see store.EventRow.Target.
func (h *exportHeader) narrowed() map[string]string {
	return map[string]string{
		"from": h.From, "to": h.To, "agent": h.AgentID, "target": h.TargetAgentID, "action": string(h.Action), "outcome": string(h.Outcome), "text": h.Text,
	}
}

// exportSubtree is the hash of the complete subtree of 2^Level leaves that is
// number Index of its level.
type exportSubtree struct {
	Level int       `json:"level"`
	Index int64     `json:"index"`
	Hash  tlog.Hash `json:"hash"`
}

func (e *Export) header() *exportHeader {
	return &exportHeader{
		Version: exportVersion, Checkpoint: string(e.checkpoint.Note), OrganizationID: e.query.OrganizationID,
		From: formatTime(e.query.From), To: formatTime(e.query.To),
		Filter: e.query.Filter,
	}
}

func formatTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(idp.TimeLayout)
}

// renderer writes a header, or the lines of a page.
type renderer func(header *exportHeader, items []item) ([]byte, error)

func renderNDJSON(header *exportHeader, items []item) ([]byte, error) {
	if header != nil {
		return exportLine{Export: header}.encode()
	}
	var b bytes.Buffer
	for _, i := range items {
		line := i.body
		if i.subtree != nil {
			encoded, err := exportLine{Subtree: i.subtree}.encode()
			if err != nil {
				return nil, err
			}
			b.Write(encoded)
			continue
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// encode gives the line with its LF.
func (l exportLine) encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(l); err != nil {
		return nil, fmt.Errorf("export line: %w", err)
	}
	return b.Bytes(), nil
}

var csvColumns = []string{
	"eventId", "sequence", "timestamp", "organizationId", "agentId", "action", "outcome", "reason", "ipAddress", "userAgent", "requestId", "metadata",
}

// renderCSV writes RFC 4180.
func renderCSV(header *exportHeader, items []item) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	if header != nil {
		if err := w.Write(csvColumns); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	}
	for _, i := range items {
		if i.subtree != nil {
			continue
		}
		record, err := csvRecord(i.body)
		if err == nil {
			err = w.Write(record)
		}
		if err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

func csvRecord(body []byte) ([]string, error) {
	var e struct {
		EventID        string          `json:"eventId"`
		Sequence       int64           `json:"sequence"`
		Timestamp      string          `json:"timestamp"`
		OrganizationID string          `json:"organizationId"`
		AgentID        string          `json:"agentId"`
		Action         string          `json:"action"`
		Outcome        string          `json:"outcome"`
		Reason         string          `json:"reason"`
		IPAddress      string          `json:"ipAddress"`
		UserAgent      string          `json:"userAgent"`
		RequestID      string          `json:"requestId"`
		Metadata       json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, damaged(fmt.Errorf("event: %w", err))
	}
	record := []string{
		e.EventID, strconv.FormatInt(e.Sequence, 10), e.Timestamp, e.OrganizationID, e.AgentID, e.Action, e.Outcome, e.Reason, e.IPAddress, e.UserAgent, e.RequestID,
		string(e.Metadata),
	}
	for i, cell := range record {
		record[i] = defuse(cell)
	}
	return record, nil
}

// defuse keeps a spreadsheet from running a cell as a formula.
func defuse(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
