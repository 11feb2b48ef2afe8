package proxy

import (
	"net/http"
	"strconv"

	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/rpc"
)

// Reasons of refusals on routes with a protocol; the package rpc has more.
var (
	rpcMediaType  = &refusal{check: atRPC, status: 415, reason: "rpc_content_type", message: "the body must be application/json in UTF-8"}
	rpcEncoding   = &refusal{check: atRPC, status: 415, reason: "rpc_content_encoding", message: "the body must not be encoded"}
	rpcBody       = &refusal{check: atRPC, status: 400, reason: "rpc_body_unexpected", message: malformed}
	rpcQuery      = &refusal{check: atRPC, status: 400, reason: "rpc_query", message: "a message stands in the body, not in the query"}
	rpcUnseen     = &refusal{check: atRPC, status: 403, reason: "rpc_body_unseen", message: "this route needs a proxy that sees bodies"}
	rpcUnnameable = &refusal{check: atRPC, status: 403, reason: "rpc_unnameable", message: notAllowed, challenge: realm + `, error="insufficient_scope"`}
	rpcAnswer     = &refusal{check: atRPC, status: 502, reason: "rpc_answer_invalid", message: noAnswer}
)

// spoken is the answer to a message that is refused as one; id is the message's
// own, as it is written, or "".
func spoken(problem *rpc.Problem, id string) *refusal {
	return &refusal{check: atRPC, status: 400, reason: problem.Reason, message: problem.Message, rpcCode: problem.Code, rpcID: or(id, "null")}
}

// rpcDocument is the body of such an answer: a JSON-RPC error.
func (r *refusal) rpcDocument(decisionID string) []byte {
	body := append(append([]byte(`{"jsonrpc":"2.0","id":`), r.rpcID...), `,"error":{"code":`...)
	body = append(append(strconv.AppendInt(body, int64(r.rpcCode), 10), `,"message":"`...), r.message...)
	body = append(append(body, `","data":{"reason":"`...), r.reason...)
	return append(append(append(body, `","decisionId":"`...), decisionID...), `"}}}`...)
}

// message reads the body of a request on a route with a protocol and judges the
// request again, with what it says: the client chose how long that took. The
// bytes that were judged are the bytes that go out.
func (p *Proxy) message(x *exchange) *refusal {
	if x.match.Route.RPC == nil {
		return nil
	}
	fields, r := readRPCFields(x.head.Fields)
	if r == nil && calls(x.head.Query) {
		r = rpcQuery
	}
	if r != nil {
		return r
	}
	if x.record.Method != http.MethodPost {
		if x.head.HasBody() {
			return rpcBody
		}
		return nil // streams and sessions are the route's
	}
	if r := fields.media(); r != nil {
		return r
	}
	body, r := p.held.whole(&x.body, x.holder())
	if r != nil {
		return r
	}
	m, problem := rpc.Read(body)
	if problem == nil {
		problem = fields.says.Agree(&m)
	}
	if problem == nil && x.match.Route.RPC.Names(m.Method) && (!m.Name.Set || len(m.Name.Value) > route.MaxName) {
		problem = rpc.ErrName
	}
	if problem != nil {
		return spoken(problem, m.ID)
	}
	x.head.Length, x.call = int64(len(body)), &m
	return p.permit(x)
}

// unread reports whether a live exchange's request is a message that nobody has
// read, or its answer a stream that nobody filters.
func (x *exchange) unread() bool {
	if x.match.Route.RPC == nil {
		return false
	}
	return x.record.Method == http.MethodPost && x.call == nil || x.screened() && !x.filtered
}

// rpcInput is what the policy is told of the message; nil without one.
func (x *exchange) rpcInput() *policy.RPC {
	if x.call == nil || x.match.Route.RPC == nil {
		return nil
	}
	in := &policy.RPC{Protocol: x.match.Route.RPC.Protocol, Method: x.call.Method}
	if x.match.Route.RPC.Names(x.call.Method) {
		in.Name = x.call.Name.Value
	}
	return in
}

// askMore asks the second question, about what the message needs beside the route.
func (p *Proxy) askMore(x *exchange) *refusal {
	if x.call == nil || x.call.Kind == rpc.Response || x.match.Route.RPC == nil {
		return nil
	}
	need, ok := x.match.Route.RPC.Need(x.call.Method, x.call.Name.Value)
	if !ok {
		x.record.PolicyRevision = "" // it was not the policy that refused
		return rpcUnnameable
	}
	if need == "" {
		return nil
	}
	x.record.Capability = need
	in := p.input(x)
	in.Route.Capability = need
	return p.question(x, in, x.match.Route.Capability+" "+need)
}
