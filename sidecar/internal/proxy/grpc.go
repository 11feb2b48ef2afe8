package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// grpcCode is what a status means to a gRPC client.
func grpcCode(status int) int {
	switch status {
	case 400, 417, 414, 431, 415:
		return 3 // INVALID_ARGUMENT
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404, 405, 505:
		return 12 // UNIMPLEMENTED
	case 408, 504:
		return 4 // DEADLINE_EXCEEDED
	case 413, 429:
		return 8 // RESOURCE_EXHAUSTED
	case 502, 503:
		return 14 // UNAVAILABLE
	case statusClientGone:
		return 1 // CANCELLED
	}
	return 13 // INTERNAL
}

// refuseGRPC answers in a gRPC client's terms, with trailers only: HTTP itself
// has nothing to complain of.
func (e *h2) refuseGRPC(r *refusal, h http.Header) {
	h["Content-Type"] = []string{"application/grpc"}
	h["Content-Length"] = nil // net/http would announce one
	h["Grpc-Status"] = []string{strconv.Itoa(grpcCode(r.status))}
	h["Grpc-Message"] = []string{grpcMessage(r.message)}
	e.last(min(e.writeTimeout(), refusalTimeout))
	e.writer.WriteHeader(http.StatusOK)
}

// trailGRPC ends an answer that had begun with the reason of its end.
func (e *h2) trailGRPC(r *refusal) {
	h := e.writer.Header()
	h[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(grpcCode(r.status))}
	h[http.TrailerPrefix+"Grpc-Message"] = []string{grpcMessage(r.message)}
	h[http.TrailerPrefix+ErrorHeader] = []string{r.reason}
}

// grpcMessage escapes what may not stand in the field: our messages are ASCII.
func grpcMessage(text string) string { return strings.ReplaceAll(text, "%", "%25") }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
