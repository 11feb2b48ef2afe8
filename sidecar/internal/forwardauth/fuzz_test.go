package forwardauth

import (
	"bufio"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// FuzzQuestion: what is judged is what net/http, an independent reader, finds
// told once; nothing else of the question plays a part.
func FuzzQuestion(f *testing.F) {
	for _, block := range []string{
		"X-Original-Method: GET\r\nX-Original-URI: /notes?a=b\r\nX-Original-Host: api.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\nAuthorization: Bearer x\r\n\r\n",
		"X-Forwarded-Method: POST\r\nX-Forwarded-Uri: /notes\r\nX-Forwarded-Host: api.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: a, 192.0.2.7\r\nConnection: close\r\nUpgrade: x\r\n\r\n",
		"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /notes\r\nx-forwarded-uri: /open\r\nX_Agent_Id: a\r\nX-Original-URI: /\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(block), true)
		f.Add([]byte(block), false)
	}
	peer := netip.MustParseAddr("10.0.0.1")
	peers := []netip.Prefix{netip.PrefixFrom(peer, 32)}
	f.Fuzz(func(t *testing.T, block []byte, nginx bool) {
		convention := conventions["/auth/forwarded"]
		if nginx {
			convention = conventions["/auth/nginx"]
		}
		q := convention.question(block, peer, peers)
		require.True(t, q.Client.IsValid())
		var judged guard.Head
		if q.Doubt != nil || guard.DefaultLimits.Check(q.Request, &judged) != nil {
			return
		}
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\n" + string(block))))
		if err != nil {
			return // of fields that are left out, as a second Host
		}
		told := [parts]string{string(q.Request.Method), string(q.Request.Target), string(judged.Host), q.Proto}
		for part, value := range told[:client] {
			require.Equal(t, []string{value}, request.Header.Values(convention.fields[part]))
		}
		for _, name := range convention.foreign {
			require.Empty(t, request.Header.Values(name))
		}
		forwarded, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\n" + string(q.Request.Fields))))
		require.NoError(t, err)
		for _, name := range append(convention.fields[:], convention.foreign[0], convention.foreign[1], "Connection", "Upgrade", "Content-Length", "Transfer-Encoding") {
			require.Empty(t, forwarded.Header.Values(name))
		}
		require.Equal(t, request.Header.Values("Authorization"), forwarded.Header.Values("Authorization"))
	})
}
