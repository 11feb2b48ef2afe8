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
	var result Ingested
	_, err = l.submit(ctx, &write{weight: max(1, len(batch)), change: func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		sidecar, err := tx.Sidecars.Get(ctx, stream.AgentID, stream.SidecarID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
		fresh, err := batch.after(sidecar.NextSequence, sidecar.LastHash)
		if err != nil {
			return nil, err
		}
		now := idp.Time(l.opts.Now())
		sidecar.ID, sidecar.AgentID, sidecar.OrganizationID = stream.SidecarID, stream.AgentID, stream.OrganizationID
		sidecar.Version, sidecar.PolicyRevision, sidecar.SeenAt = stream.Version, stream.PolicyRevision, now
		events := make([]idp.Event, 0, len(fresh))
		for _, line := range fresh {
			events = append(events, line.event(stream))
			sidecar.NextSequence, sidecar.LastHash, sidecar.LastDecisionAt = line.record.Sequence+1, line.anchor, now
		}
		result = Ingested{NextSequence: sidecar.NextSequence, Ingested: len(fresh), Skipped: len(batch) - len(fresh)}
		if err := tx.Sidecars.Put(ctx, sidecar); err != nil {
			return nil, fmt.Errorf("sidecar: %w", err)
		}
		return events, nil
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
}

type batch []line

func parseBatch(body []byte) (batch, error) {
	if len(body) > decision.MaxBytes {
		return nil, apierr.New(apierr.PayloadTooLarge, "a batch is at most %d bytes unzipped", decision.MaxBytes).WithReason("payload_too_large")
	}
	var parsed batch
	for raw := range bytes.Lines(body) {
		raw = bytes.TrimSuffix(raw, []byte("\n"))
		if len(parsed) == decision.MaxRecords {
			return nil, apierr.New(apierr.PayloadTooLarge, "a batch is at most %d records", decision.MaxRecords).WithReason("payload_too_large")
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
		parsed = append(parsed, line{record: record, hash: decision.Hash(raw), anchor: record.Anchor(raw)})
	}
	return parsed, nil
}

func brokenChain(n int) error {
	return apierr.Invalid(apierr.Field{Field: fmt.Sprintf("records[%d].prevHash", n), Rule: "must be the SHA-256 of the record before it"})
}

// after leaves out what is known. A gap may restart the chain of hashes: it
// declares that what came before is lost.
func (b batch) after(next int64, lastHash string) (batch, error) {
	for i, l := range b {
		if l.record.Sequence < next {
			continue
		}
		if first := l.record.First(); first > next {
			return nil, apierr.New(apierr.SequenceGap, "the batch begins at %d, expected %d", first, next).
				WithReason("sequence_gap").WithDetail("nextSequence", next)
		}
		if !l.record.Linked(lastHash) || l.record.Sequence == 0 && l.record.PrevHash != "" {
			return nil, brokenChain(i)
		}
		return b[i:], nil
	}
	return nil, nil
}

var decisionActions = map[decision.Outcome]struct {
	action  idp.Action
	outcome idp.Outcome
}{
	decision.Allowed: {idp.ActionDecisionAllowed, idp.Success},
	decision.Denied:  {idp.ActionDecisionDenied, idp.Denied},
	decision.Error:   {idp.ActionDecisionError, idp.Failure},
	decision.Gap:     {idp.ActionDecisionGap, idp.Failure},
}

// event turns a record into an event of the sidecar's organization. The time
// of the event is its arrival; the sidecar's own time is metadata.
func (l line) event(stream Stream) idp.Event {
	r := l.record
	metadata := map[string]any{"sidecarId": stream.SidecarID, "sidecarAgentId": stream.AgentID, "sidecarSequence": r.Sequence, "recordHash": l.hash, "time": r.Time}
	for name, value := range map[string]string{
		"decisionId": r.DecisionID, "agentOrganizationId": r.OrganizationID, "clientId": r.ClientID, "jti": r.JTI,
		"method": r.Method, "host": r.Host, "path": r.Path, "routeId": r.RouteID, "capability": r.Capability, "policyRevision": r.PolicyRevision,
	} {
		if value != "" {
			metadata[name] = value
		}
	}
	for name, value := range map[string]int64{"status": int64(r.Status), "bytesIn": r.BytesIn, "bytesOut": r.BytesOut, "count": r.Count} {
		if value != 0 {
			metadata[name] = value
		}
	}
	if r.DurationMs != 0 {
		metadata["durationMs"] = r.DurationMs
	}
	if r.FirstSequence != nil {
		metadata["firstSequence"] = *r.FirstSequence
	}
	kind := decisionActions[r.Outcome]
	return idp.Event{
		OrganizationID: stream.OrganizationID, AgentID: r.AgentID, Action: kind.action, Outcome: kind.outcome, Reason: r.Reason,
		Origin: idp.Origin{IPAddress: r.Peer, RequestID: r.RequestID}, Metadata: metadata,
	}
}
