package rpc

import "errors"

// Codes of JSON-RPC 2.0 section 5.1, and the one of MCP for header fields that
// say something else than the body (SEP-2243).
const (
	codeParse   = -32700
	codeInvalid = -32600
	codeParams  = -32602
	codeHeader  = -32020
)

// Problem is why a message is refused.
type Problem struct {
	Code    int    // of the JSON-RPC error
	Reason  string // stable lower_snake name of the rule
	Message string // for the client: ASCII that JSON need not escape
}

// Error is the reason.
func (p *Problem) Error() string { return p.Reason }

// What is refused. The values are shared: compare, never change one.
var (
	errEncoding  = &Problem{codeInvalid, "rpc_encoding", "the body must be UTF-8 without a byte order mark"}
	errPrefix    = &Problem{codeInvalid, "rpc_prefix", "the body must begin with a JSON object"}
	errBatch     = &Problem{codeInvalid, "rpc_batch", "batches are not served: send one message"}
	errMalformed = &Problem{codeParse, "rpc_malformed", "the body is not JSON"}
	errTooDeep   = &Problem{codeInvalid, "rpc_too_deep", "the message is nested too deep"}
	errObject    = &Problem{codeInvalid, "rpc_not_object", "a message is a JSON object"}
	errMember    = &Problem{codeInvalid, "rpc_member_unknown", "a message has only jsonrpc, id, method, params, result and error, spelt so"}
	errDuplicate = &Problem{codeInvalid, "rpc_member_duplicate", "a member stands twice"}
	errSpelling  = &Problem{codeInvalid, "rpc_member_spelling", "a member of params is spelt with escapes, in another case, or too long"}
	errMembers   = &Problem{codeInvalid, "rpc_member_count", "params has too many members"}
	errVersion   = &Problem{codeInvalid, "rpc_version", "jsonrpc must be 2.0"}
	errID        = &Problem{codeInvalid, "rpc_id", "id must be a string of at most 256 bytes or an integer"}
	errMethod    = &Problem{codeInvalid, "rpc_method", "method must be a string of 1 to 128 printable ASCII bytes"}
	errParams    = &Problem{codeInvalid, "rpc_params", "params must be an object"}
	errEnvelope  = &Problem{codeInvalid, "rpc_envelope", "a message is a request, a notification or a response"}
	errHeader    = &Problem{codeHeader, "rpc_header_mismatch", "the Mcp-Method or Mcp-Name field does not say what the body says"}

	// ErrField is the refusal of a header field that stands twice, is misspelt or too long.
	ErrField = &Problem{codeHeader, "rpc_header_repeated", "a header field that says how to read the message stands twice, is misspelt or too long"}
	// ErrName is the refusal of a call that does not name what it calls.
	ErrName = &Problem{codeParams, "rpc_name", "params.name must be a string of at most 512 bytes"}
)

// problem words an error of the scanner.
func problem(err error) *Problem {
	var known *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.Is(err, errDeep):
		return errTooDeep
	}
	return errMalformed
}
