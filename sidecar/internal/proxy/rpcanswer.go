package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/rpc"
)

// screened reports whether the answer may list what can be called: that of a
// method that lists, and a stream, on which answers are sent again.
func (x *exchange) screened() bool {
	if x.match.Route.RPC == nil || x.match.Route.RPC.Protocol != route.MCP {
		return false
	}
	return x.record.Method == http.MethodGet || x.call != nil && rpc.Lists(x.call.Method) != ""
}

// spoilers ask for another form than whole and plain, in which an answer that is
// to be filtered must come.
var spoilers = []string{"accept-encoding", "range", "if-range"}

// withheld reports whether a field of the client's is kept from the upstream.
func (x *exchange) withheld(name []byte) bool {
	return x.screened() && slices.ContainsFunc(spoilers, func(field string) bool {
		alike, _ := guard.Spells(name, field)
		return alike
	})
}

// screen filters the answer, down to what the agent may call. What cannot be
// filtered is not passed on; errors of the upstream's are. To GET there is no
// answer but a stream: clients read one as such whatever it is called.
func (p *Proxy) screen(x *exchange) *refusal {
	a := &x.answer
	if !x.screened() || a.Bodyless(x.request.Method) || a.Status >= 300 {
		return nil
	}
	kind, encoded := answerKind(a.Fields)
	partial := a.Status == http.StatusPartialContent
	events := kind == "text/event-stream"
	r := rpcAnswer
	switch {
	case x.call == nil && a.Length == 0:
		return nil
	case encoded, partial, !events && (x.call == nil || kind != "application/json"), a.Length > maxMessage:
	case events && a.Length < 0:
		a.filter = p.events(x)
		return nil
	default:
		r = p.screenWhole(x, events)
	}
	if r != nil {
		x.release(a, false)
	}
	return r
}

// events filters a stream on its way.
func (p *Proxy) events(x *exchange) func(io.Reader) io.Reader {
	filter := p.filter(x)
	return func(from io.Reader) io.Reader { return rpc.NewEvents(from, filter, maxMessage) }
}

// screenWhole reads an answer to its end and filters it: events of a declared
// length too, which changes.
func (p *Proxy) screenWhole(x *exchange, events bool) *refusal {
	a := &x.answer
	if a.stream == nil {
		head, err := a.Reader.Peek(a.size)
		if err != nil || guard.ReadAnswer(slices.Clone(head), &a.Answer) != nil { // views that last
			return rpcAnswer
		}
		_, _ = a.Reader.Discard(a.size)
		a.certain = a.Certain(x.request.Method)
		if a.Length < 0 || a.Length > int64(a.Reader.Buffered()) {
			p.live(x)
		}
	}
	var source bodySource // counts what is in memory
	defer p.held.letGo(&source)
	body, err := p.readAnswer(x, &source)
	x.record.BytesOut = 0
	if r := unheld(err); r != nil {
		return r
	}
	switch {
	case err != nil, len(body) > maxMessage:
		return rpcAnswer
	}
	if events {
		body, err = io.ReadAll(p.events(x)(bytes.NewReader(body)))
	} else {
		body, err = p.filterList(x, body)
	}
	if err != nil {
		return or(unscreened(err), rpcAnswer)
	}
	a.body, a.whole, a.Length = body, true, int64(len(body))
	return nil
}

// filterList filters a message that must be an error, or the list that was asked for.
func (p *Proxy) filterList(x *exchange, body []byte) ([]byte, error) {
	body, answer, err := p.filter(x).Message(body)
	if err == nil && !answer.Failed && answer.List != rpc.Lists(x.call.Method) {
		err = rpc.ErrAnswer
	}
	return body, err
}

func (p *Proxy) readAnswer(x *exchange, b *bodySource) ([]byte, error) {
	s := newAnswerStream(x, &x.answer)
	b.from = io.LimitReader(s, maxMessage+1)
	body, err := io.ReadAll(p.held.reader(b, x.holder()))
	return body, errors.Join(err, s.close())
}

// answerKind is the media type of an answer, in lower case without parameters.
func answerKind(block []byte) (kind string, encoded bool) {
	for {
		name, value, rest, why := guard.Next(block)
		if why != nil || name == nil {
			return kind, encoded // the guard read the block to its end before
		}
		if alike, _ := guard.Spells(name, "content-type"); alike {
			if kind != "" {
				return "", encoded // two
			}
			kind = string(bytes.ToLower(bytes.TrimRight(bytes.SplitN(value, []byte{';'}, 2)[0], " \t")))
		}
		if alike, _ := guard.Spells(name, "content-encoding"); alike {
			encoded = true
		}
		block = rest
	}
}

// filter lets through what a call of the agent's would be: nothing is listed
// that a call would be refused for, and nothing left out that it would not. It
// may be used when the exchange's request is gone.
func (p *Proxy) filter(x *exchange) rpc.Filter {
	in, r, digest := p.input(x), x.match.Route, x.identity.Digest
	in.Request.Method = http.MethodPost
	return func(method, name string) (bool, error) {
		if r.Shadow {
			return true, nil
		}
		allowed, err := p.wouldPass(digest, in, r, method, name)
		if err == nil && !allowed {
			p.meters.hidden.Inc()
		}
		return allowed, err
	}
}

// wouldPass asks the policy what it would be asked of a call.
func (p *Proxy) wouldPass(digest [32]byte, in policy.Input, r *route.Route, method, name string) (bool, error) {
	need, ok := r.RPC.Need(method, name)
	if !ok {
		return false, nil
	}
	in.RPC = &policy.RPC{Protocol: r.RPC.Protocol, Method: method}
	if r.RPC.Names(method) {
		in.RPC.Name = name
	}
	for _, capability := range []string{r.Capability, need} {
		if capability == "" {
			continue
		}
		in.Route.Capability = capability
		d, err := p.Decider.Decide(p.ctx, digest, in)
		if err != nil || !d.Allow || len(d.Obligations) > 0 {
			return false, err
		}
	}
	return true, nil
}

// unscreened says why a stream that is filtered ended; nil when it is the
// upstream's doing.
func unscreened(err error) *refusal {
	var undecided *apierr.Error
	switch {
	case errors.Is(err, rpc.ErrAnswer):
		return rpcAnswer
	case errors.As(err, &undecided):
		return refused(atPolicy, err)
	}
	return nil
}
