package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The numbers are those of gRPC's codes.
func TestGRPCCodes(t *testing.T) {
	for status, code := range map[int]int{
		400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 408: 4, 413: 8, 414: 3, 415: 3, 417: 3, 429: 8, 431: 3, 499: 1, 500: 13, 502: 14, 503: 14, 504: 4, 505: 12,
	} {
		require.Equal(t, code, grpcCode(status), status)
	}
}

func TestGRPCMedia(t *testing.T) {
	for kind, is := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "Application/GRPC;a=b": true, "application/grpc-web": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		require.Equal(t, is, grpcMedia(kind), kind)
	}
}

func TestGRPCMessagesAreEscaped(t *testing.T) { require.Equal(t, "100%25", grpcMessage("100%")) }
