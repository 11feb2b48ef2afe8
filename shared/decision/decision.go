// Package decision is the record a sidecar keeps of every request it judged,
// and its line form on the way to the audit log: NDJSON, one object a line,
// each carrying the SHA-256 of the line before it.
package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Bounds of one batch, as POST /api/v1/audit/decisions enforces them.
const (
	MaxRecords   = 5_000
	MaxBytes     = 4 << 20 // unzipped
	MaxLine      = 16 << 10
	MaxPathBytes = 1 << 10
)

// Outcome is how the sidecar judged.
type Outcome string

// The outcomes. A gap record declares decisions that were lost.
const (
	Allowed Outcome = "allowed"
	Denied  Outcome = "denied"
	Error   Outcome = "error"
	Gap     Outcome = "gap"
)

// Record is one decision. Strings are valid UTF-8; sizes are bytes.
type Record struct {
	Sequence       int64   `json:"sequence"` // per sidecar, from 0, without holes
	PrevHash       string  `json:"prevHash"` // lower-case hex SHA-256 of the line before; "" for sequence 0
	DecisionID     string  `json:"decisionId,omitempty"`
	Time           string  `json:"time"` // RFC 3339, UTC, three decimals
	AgentID        string  `json:"agentId,omitempty"`
	OrganizationID string  `json:"organizationId,omitempty"` // the agent's
	ClientID       string  `json:"clientId,omitempty"`
	JTI            string  `json:"jti,omitempty"`
	Method         string  `json:"method,omitempty"`
	Host           string  `json:"host,omitempty"`
	Path           string  `json:"path,omitempty"` // without query, at most MaxPathBytes
	RouteID        string  `json:"routeId,omitempty"`
	Capability     string  `json:"capability,omitempty"`
	Outcome        Outcome `json:"outcome"`
	Reason         string  `json:"reason,omitempty"`
	Status         int     `json:"status,omitempty"` // HTTP status the client saw
	PolicyRevision string  `json:"policyRevision,omitempty"`
	RequestID      string  `json:"requestId,omitempty"`
	Peer           string  `json:"peer,omitempty"`
	BytesIn        int64   `json:"bytesIn,omitempty"`
	BytesOut       int64   `json:"bytesOut,omitempty"`
	DurationMs     float64 `json:"durationMs,omitempty"`
	// Count is how many like decisions the record stands for; of a gap, how
	// many were lost (0: unknown, as after a power cut).
	Count int64 `json:"count,omitempty"`
	// FirstSequence of a gap: the record stands for the sequences from it to
	// Sequence, which were given out and lost. Nil: the lost ones never had a sequence.
	FirstSequence *int64 `json:"firstSequence,omitempty"`
}

// Reasons of gap records.
const (
	GapSpoolFull        = "spool_full"        // the policy of a full spool left decisions out or dropped the oldest
	GapPowerLoss        = "power_loss"        // the machine went down before the last records reached the disk
	GapTornTail         = "torn_tail"         // the newest records cannot be read back
	GapCorrupt          = "corrupt"           // records in the middle cannot be read back
	GapUnwritten        = "unwritten"         // the process ended, as by kill -9, before decisions that it only counted became a record
	GapNotRetained      = "not_retained"      // asked for again after they were acknowledged and deleted
	GapSequenceConflict = "sequence_conflict" // the IdP already holds other records under these sequences
)

// TimeLayout of Record.Time.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// First is the first sequence that the record accounts for.
func (r *Record) First() int64 {
	if r.FirstSequence != nil {
		return *r.FirstSequence
	}
	return r.Sequence
}

// Hash is the PrevHash of the record after line. The line is without its LF.
func Hash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// Anchor is what the PrevHash of the following record must be: the hash of
// this record's line. It is "" after a gap that stands for lost sequences: the
// record after it was chained to a line that exists no more, so nobody can check it.
func (r *Record) Anchor(line []byte) string { return r.Anchored(Hash(line)) }

// Anchored is Anchor of a line with that hash.
func (r *Record) Anchored(hash string) string {
	if r.FirstSequence != nil {
		return ""
	}
	return hash
}

// Linked reports whether r may follow a record with the anchor. A gap may
// restart the chain, when the line before it is lost too: its PrevHash is then "".
func (r *Record) Linked(anchor string) bool {
	return anchor == "" || r.PrevHash == anchor || r.Outcome == Gap && r.PrevHash == ""
}

func (r *Record) validate() error {
	if !isTime(r.Time) {
		return fmt.Errorf("%w: time must be RFC 3339 UTC with three decimals", ErrRecord)
	}
	if r.PrevHash != "" && !isHash(r.PrevHash) {
		return fmt.Errorf("%w: prevHash must be 64 lower-case hexadecimal digits or empty", ErrRecord)
	}
	switch r.Outcome {
	case Allowed, Denied, Error:
		if r.FirstSequence != nil {
			return fmt.Errorf("%w: firstSequence is for gaps", ErrRecord)
		}
	case Gap:
	default:
		return fmt.Errorf("%w: outcome must be allowed, denied, error or gap", ErrRecord)
	}
	if r.Sequence < 0 || r.First() < 0 || r.First() > r.Sequence || r.Count < 0 || r.BytesIn < 0 || r.BytesOut < 0 || r.DurationMs < 0 {
		return fmt.Errorf("%w: negative or reversed number", ErrRecord)
	}
	if len(r.Path) > MaxPathBytes {
		return fmt.Errorf("%w: path longer than %d bytes", ErrRecord, MaxPathBytes)
	}
	return nil
}
