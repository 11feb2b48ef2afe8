package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/decision"
)

// ingestBatch is what one request of a sidecar holds here.
const ingestBatch = 500

// audit measures events that each caller waits for, in process on a log of their
// own; decisions in bulk, over HTTP as a sidecar ships them; and, beside them,
// what the same kind of store takes when nobody hashes, chains or asks.
func audit(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	var subjects []*subject
	for _, callers := range []int{1, 8, 64} {
		subjects = append(subjects, newSubject("audit-append", "idp", map[string]float64{"callers": float64(callers)}, func(ctx context.Context) (measured, error) {
			return r.appended(ctx, callers)
		}))
	}
	folder, err := r.Folder()
	if err != nil {
		return nil, err
	}
	url, err := r.NewDatabase(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := openRaw(ctx, url, folder)
	if err != nil {
		return nil, err
	}
	defer raw.close()
	for _, rows := range []int{1, ingestBatch} {
		subjects = append(subjects, newSubject("audit-raw", raw.name(rows), map[string]float64{"batch": float64(rows)}, func(ctx context.Context) (measured, error) {
			return perRow(load.Loop(ctx, 1, r.Slice, func(ctx context.Context) error { return raw.insert(ctx, rows) }), rows)
		}))
	}
	ingest, err := r.ingest(ctx)
	if err != nil {
		return nil, err
	}
	return r.interleave(ctx, r.Rounds, append(subjects, ingest)...)
}

// appended opens a log on an empty store each time: logs of all rounds are alike.
func (r *Run) appended(ctx context.Context, callers int) (measured, error) {
	folder, err := r.Folder()
	if err != nil {
		return measured{}, err
	}
	args := []string{"append", "-for", r.Slice.String(), "-callers", strconv.Itoa(callers), "-dir", folder}
	url, err := r.NewDatabase(ctx)
	if err != nil {
		return measured{}, err
	}
	if url != "" {
		args = append(args, "-database", url)
	}
	return r.inside(ctx, args...)
}

// perRow turns statements into rows: their rate is what is compared.
func perRow(loaded load.Result, rows int) (measured, error) {
	m := measured{loaded.Sample(), loaded.Latency}
	m.sample[result.PerSecond] *= float64(rows)
	if loaded.Errors > 0 {
		return m, invalidf("%d of %d statements failed: %s", loaded.Errors, loaded.Requests, loaded.FirstError)
	}
	return m, nil
}

// ingest ships decisions in batches of as many rows as the raw baseline has, and
// holds the IdP to have them all.
func (r *Run) ingest(ctx context.Context) (*subject, error) {
	agent, err := r.Admin.Register(ctx, stack.Registration{Email: "ingest@example.com", AgentType: "sidecar", Capabilities: []string{"decisions:write"}})
	if err != nil {
		return nil, err
	}
	client := r.Config(agent.Credential).Client(ctx) // renews its token
	of := chain{}
	return newSubject("audit-ingest", "idp", map[string]float64{"batch": ingestBatch}, func(ctx context.Context) (measured, error) {
		before, err := r.auditSize(ctx)
		if err != nil {
			return measured{}, err
		}
		bodies, err := of.batches(int(r.Slice/(5*time.Millisecond))+1, ingestBatch) // more than can be sent
		if err != nil {
			return measured{}, err
		}
		first, sent := of.next-int64(len(bodies)*ingestBatch), 0
		loaded := load.Loop(ctx, 1, r.Slice, func(ctx context.Context) error {
			if sent == len(bodies) {
				return fmt.Errorf("all %d batches are sent", sent)
			}
			sent++
			return r.ship(ctx, client, bodies[sent-1])
		})
		// What was made and not sent is made again next time, for the chain has no gaps.
		of.next, of.anchor = first+int64(sent*ingestBatch), of.anchors[sent]
		m, err := perRow(loaded, ingestBatch)
		if err != nil {
			return m, err
		}
		after, err := r.auditSize(ctx)
		if err != nil {
			return m, err
		}
		if after-before < float64(sent*ingestBatch) {
			return m, invalidf("%d decisions sent, and the log grew by %.0f", sent*ingestBatch, after-before)
		}
		return m, nil
	}), nil
}

// auditSize is the number of events written since the IdP started.
func (r *Run) auditSize(ctx context.Context) (float64, error) {
	page, err := lab.ReadMetrics(ctx, r.IdP)
	if err != nil {
		return 0, err
	}
	return page.Value("agentidp_audit_events_total")
}

const ingestSidecar = "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001"

func (r *Run) ship(ctx context.Context, client *http.Client, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Issuer()+"/api/v1/audit/decisions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("X-Sidecar-Id", ingestSidecar)
	answer, err := stack.Send(client, request)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("%d %.200s", answer.Status, answer.Body)
	}
	return err
}

// chain makes the decisions of one sidecar, each chained to the one before it.
type chain struct {
	next    int64
	anchor  string
	anchors []string // before each of the last batches, and after them
}

// batches are the next ones, ready to be sent.
func (c *chain) batches(count, size int) ([][]byte, error) {
	bodies := make([][]byte, count)
	c.anchors = []string{c.anchor}
	for i := range bodies {
		var lines bytes.Buffer
		for range size {
			line, err := c.line()
			if err != nil {
				return nil, err
			}
			lines.Write(append(line, '\n'))
		}
		bodies[i] = lines.Bytes()
		c.anchors = append(c.anchors, c.anchor)
	}
	return bodies, nil
}

// line is the next decision: nine in ten allowed, one denied.
func (c *chain) line() ([]byte, error) {
	record := decision.Record{
		Sequence: c.next, PrevHash: c.anchor, DecisionID: fmt.Sprintf("%08x-0000-4000-8000-%012x", c.next>>32, c.next),
		Time: time.Now().UTC().Format(decision.TimeLayout), Method: http.MethodGet, Host: "notes.example.com", Path: fmt.Sprintf("/notes/%d", c.next),
		RouteID: "GET /notes/{id}", Capability: lab.Capability, Outcome: decision.Allowed, Reason: "capability", Status: http.StatusOK,
	}
	if c.next%10 == 9 {
		record.Outcome, record.Reason, record.Status = decision.Denied, "insufficient_scope", http.StatusForbidden
	}
	line, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	c.next, c.anchor = c.next+1, record.Anchor(line)
	return line, nil
}
