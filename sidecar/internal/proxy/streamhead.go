package proxy

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

// outbound is the request for an HTTP/2 upstream: the same fields that an
// HTTP/1.1 one gets, and the target byte for byte. sent reports whether anything of it left.
func (x *exchange) outbound(s *stream, authority string) (_ *http.Request, sent func() bool) {
	var wrote atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}
	head := x.appendHead(nil, authority)
	r := (&http.Request{
		Method: string(x.request.Method), URL: &url.URL{Opaque: string(x.head.Path), RawQuery: string(x.head.Query), ForceQuery: x.head.Query != nil},
		Header: headerOf(head), ContentLength: x.head.Length,
	}).WithContext(httptrace.WithClientTrace(s.ctx, trace))
	if s.upload != nil {
		r.Body = s.upload
	}
	if grpcMedia(r.Header.Get("Content-Type")) {
		r.Header["Te"] = []string{"trailers"} // the protocol demands it
	}
	return r, wrote.Load
}

// headerOf takes the fields of a head of our own, but for those that HTTP/2 has
// other means for.
func headerOf(head []byte) http.Header {
	text := string(head)                     // values are views into it
	header := http.Header{"User-Agent": nil} // none of the transport's own
	_, text, _ = strings.Cut(text, "\r\n")
	for {
		line, rest, _ := strings.Cut(text, "\r\n")
		name, value, found := strings.Cut(line, ": ")
		if !found {
			return header
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Host", "Content-Length", "Transfer-Encoding":
		default:
			header[name] = append(header[name], value)
		}
		text = rest
	}
}

// appendAnswer writes an answer's head as HTTP/1.1 would put it, for the guard
// to read. net/http let no line break in.
func appendAnswer(b []byte, answer *http.Response) []byte {
	b = append(strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(answer.StatusCode), 10), "\r\n"...)
	framed := false
	for name, values := range answer.Header {
		framed = framed || name == "Content-Length"
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	switch {
	case framed:
	case answer.Request.Method == http.MethodHead, answer.StatusCode == http.StatusNotModified:
	case answer.ContentLength == 0: // the head ended the stream
		b = appendField(b, "Content-Length", "0")
	default:
		b = appendField(b, "Transfer-Encoding", "chunked")
	}
	return append(b, "\r\n"...)
}

// trailers are those of an answer that was read to its end, without those that
// are not the upstream's to say.
func (a *answered) trailers() http.Header {
	trailers := http.Header{}
	if a.stream == nil {
		return trailers
	}
	for name, values := range a.stream.answer.Trailer {
		if a.Trails([]byte(name)) {
			trailers[name] = values
		}
	}
	return trailers
}

// unprocessed reports whether the server says that the request did not reach
// what serves it: it refused the stream, or was about to end the connection.
func unprocessed(err error) bool {
	var reset streamError
	const refusedStream = 0x7
	return errors.As(err, &reset) && reset.Code == refusedStream || strings.HasSuffix(err.Error(), goAway)
}

// goAway ends the text of net/http's error, which has no other name.
const goAway = "Transport received Server's graceful shutdown GOAWAY"

// streamError is the shape of net/http's error of a stream that was reset.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream reset" }

// grpcMedia reports whether the media type is gRPC's.
func grpcMedia(kind string) bool {
	const grpc = "application/grpc"
	return len(kind) >= len(grpc) && strings.EqualFold(kind[:len(grpc)], grpc) && (len(kind) == len(grpc) || strings.IndexByte("+; ", kind[len(grpc)]) >= 0)
}
