package proxy

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// feed gives the watch the text in pieces of the sizes, the last one repeating.
func feed(w *lineWatch, text string, sizes ...int) {
	for i := 0; len(text) > 0; i++ {
		size := min(len(text), max(1, sizes[min(i, len(sizes)-1)]))
		w.read([]byte(text[:size]))
		text = text[size:]
	}
}

func TestLineWatch(t *testing.T) {
	refused := func(text string, want bool) {
		t.Helper()
		for _, size := range []int{1, 2, 3, 7, len(text)} {
			var w lineWatch
			feed(&w, text, size)
			require.Equal(t, want, w.refused(), "%q in pieces of %d", text, size)
		}
	}
	refused("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false)
	refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", false)
	refused("GET / HTTP/1.1\nHost: a\r\n\r\n", true)
	refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", true)
	refused("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", true)
	refused("POST / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nlog", false) // a body

	// The next request on the connection, after a pause and without one.
	next := func(text string, pipelined, want bool) {
		t.Helper()
		for _, size := range []int{1, 4, len(text)} {
			var w lineWatch
			first := "POST / HTTP/1.1\r\nHost: a\r\n\r\n"
			if pipelined {
				feed(&w, first+text, size)
				w.phase, w.pipelined = behind, true
			} else {
				feed(&w, first+"x HTTP/1.1\ny", size)
				w.phase = between
				feed(&w, text, size)
			}
			require.Equal(t, want, w.refused(), "%q in pieces of %d", text, size)
		}
	}
	next("GET / HTTP/1.1\r\n\r\n", false, false)
	next("GET / HTTP/1.1\n\r\n", false, true)
	next("GET / HTTP/1.1\r\n\r\n", true, false)
	next("GET / HTTP/1.1\n\r\n", true, true)
}

// However a request is cut into reads, the verdict is that of the whole.
func FuzzLineWatch(f *testing.F) {
	f.Add("\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n", 1, 3)
	f.Add("\nGET / HTTP/1.1\n HTTP/1.1\n", 2, 9)
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		var w lineWatch
		feed(&w, text, a%64, b%64)
		blank := text[:len(text)-len(strings.TrimLeft(text, "\r\n"))]
		line, rest, ended := strings.Cut(text[len(blank):], "\n")
		bare := bareIn(blank)
		if ended {
			bare = bare || !strings.HasSuffix(line, "\r")
			require.Equal(t, bytes.Contains([]byte(rest), []byte(lineEnd+"\n")), w.later)
		}
		require.Equal(t, bare, w.bare)
	})
}

func bareIn(blank string) bool {
	for i := range len(blank) {
		if blank[i] == '\n' && (i == 0 || blank[i-1] != '\r') {
			return true
		}
	}
	return false
}
