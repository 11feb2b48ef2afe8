package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/decision"
)

// Stream says whose decisions arrive: one sidecar process with one data folder.
type Stream struct {
	SidecarID      string // UUID made once per data folder
	AgentID        string // whose token the sidecar used; part of the stream's identity
	OrganizationID string // that agent's; its log shows the decisions
	Name           string // as the sidecar calls itself; empty: it does not
	Version        string
	PolicyRevision string
}

// Ingested answers a batch.
type Ingested struct {
	NextSequence int64 `json:"nextSequence"` // where the sidecar goes on
	Ingested     int   `json:"ingested"`
	Skipped      int   `json:"skipped"` // known already
}

// Ingest appends a batch of decision records (NDJSON, unzipped) exactly once:
// it starts at or before the stream's next sequence, repeats are skipped, a
// hole refuses the whole batch.
func (l *Log) Ingest(ctx context.Context, stream Stream, body []byte) (Ingested, error) {
	batch, err := parseBatch(body)
	if err != nil {
		return Ingested{}, err
	}
	// All is encoded here, that the one writer has little to do; what is known already was so for nothing.
	now := idp.Time(l.opts.Now())
	entries, err := batch.entries(stream, now)
	if err != nil {
		return Ingested{}, apierr.From(err)
	}
	var result Ingested
	_, err = l.submit(ctx, &write{weight: max(1, len(batch)), change: func(ctx context.Context, tx *store.Tx) ([]entry, error) {
		sidecar, err := tx.Sidecars.Get(ctx, stream.AgentID, stream.SidecarID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
		known, err := batch.known(sidecar.NextSequence, sidecar.LastHash)
		if err != nil {
			return nil, err
		}
		sidecar.ID, sidecar.AgentID, sidecar.OrganizationID = stream.SidecarID, stream.AgentID, stream.OrganizationID
		sidecar.Name, sidecar.Version, sidecar.PolicyRevision, sidecar.SeenAt = stream.Name, stream.Version, stream.PolicyRevision, now
		if known < len(batch) {
			newest := &batch[len(batch)-1]
			sidecar.NextSequence, sidecar.LastHash, sidecar.LastDecisionAt = newest.record.Sequence+1, newest.anchor, now
		}
		result = Ingested{NextSequence: sidecar.NextSequence, Ingested: len(batch) - known, Skipped: known}
		if err := tx.Sidecars.Put(ctx, sidecar); err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
		return entries[known:], nil
	}})
	if err != nil {
		return Ingested{}, err
	}
	return result, nil
}

type line struct {
	record decision.Record
	hash   string // of the line's bytes
	anchor string // what the next record must link to; "" when that cannot be checked
	size   int    // of the line's bytes
}

type batch []line

func parseBatch(body []byte) (batch, error) {
	if len(body) > decision.MaxBytes {
		return nil, apierr.New(apierr.PayloadTooLarge, "a batch is at most %d bytes unzipped", decision.MaxBytes).WithReason("payload_too_large")
	}
	parsed := make(batch, 0, min(decision.MaxRecords, bytes.Count(body, []byte("\n"))+1))
	var whole []byte // of the line in hand
	short := false
	for raw := range bytes.Lines(body) {
		raw = bytes.TrimSuffix(raw, []byte("\n"))
		if len(parsed) == decision.MaxRecords {
			return nil, apierr.New(apierr.PayloadTooLarge, "a batch is at most %d records", decision.MaxRecords).WithReason("payload_too_large")
		}
		if short = false; len(parsed) > 0 {
			if whole, short = decision.Restore(whole[:0], raw, parsed[len(parsed)-1].anchor); short {
				raw = whole
			}
		}
		record, err := decision.Parse(raw)
		if err != nil {
			return nil, apierr.Invalid(apierr.Field{Field: fmt.Sprintf("records[%d]", len(parsed)), Rule: err.Error()})
		}
		if n := len(parsed); n > 0 {
			if record.First() != parsed[n-1].record.Sequence+1 {
				return nil, apierr.Invalid(apierr.Field{Field: fmt.Sprintf("records[%d].sequence", n), Rule: "must follow the record before it without a hole"})
			}
			if !record.Linked(parsed[n-1].anchor) {
				return nil, brokenChain(n)
			}
		}
		hash := decision.Hash(raw)
		parsed = append(parsed, line{record: record, hash: hash, anchor: record.Anchored(hash), size: len(raw)})
	}
	if short { // then nothing would hold the hash of what was restored
		return nil, brokenChain(len(parsed) - 1)
	}
	return parsed, nil
}

func brokenChain(n int) error {
	return apierr.Invalid(apierr.Field{Field: fmt.Sprintf("records[%d].prevHash", n), Rule: "must be the SHA-256 of the record before it"})
}

// known is how many records at the batch's beginning the log has. A gap may
// restart the chain of hashes: it declares that what came before is lost.
func (b batch) known(next int64, lastHash string) (int, error) {
	for i := range b {
		r := &b[i].record
		if r.Sequence < next {
			continue
		}
		if first := r.First(); first > next {
			return 0, apierr.New(apierr.SequenceGap, "the batch begins at %d, expected %d", first, next).
				WithReason("sequence_gap").WithDetail("nextSequence", next)
		}
		if !r.Linked(lastHash) || r.Sequence == 0 && r.PrevHash != "" {
			return 0, brokenChain(i)
		}
		return i, nil
	}
	return len(b), nil
}
