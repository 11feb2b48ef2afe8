package proxy

import (
	"bufio"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

func TestHeldMessages(t *testing.T) {
	source := func(from io.Reader, length int64) *bodySource {
		return &bodySource{from: from, length: length, edge: h1{&exchange{conn: &watched{}}}}
	}
	var h held
	agent := holder{agent: "a"}
	b := source(strings.NewReader("message"), 7)
	body, r := h.whole(b, agent)
	require.Nil(t, r)
	require.Equal(t, "message", string(body))
	require.Equal(t, int64(7), h.bytes.Load())
	again, err := io.ReadAll(b.from)
	require.NoError(t, err)
	require.Equal(t, body, again, "it can be read from its start")
	h.letGo(b)
	h.letGo(b)
	require.Zero(t, h.bytes.Load())

	h.bytes.Store(maxHeld - 3)
	b = source(strings.NewReader("message"), 7)
	_, r = h.whole(b, agent)
	require.Same(t, overloaded, r)
	h.letGo(b)
	b = source(strings.NewReader("mes"), 3)
	_, r = h.whole(b, agent)
	require.Nil(t, r)
	h.letGo(b)
	require.Equal(t, int64(maxHeld-3), h.bytes.Load())
	h.bytes.Store(0)

	refuses := func(b *bodySource, want *refusal) {
		t.Helper()
		_, r := h.whole(b, agent)
		require.Same(t, want, r)
		h.letGo(b)
		require.Zero(t, h.bytes.Load())
	}
	refuses(source(strings.NewReader("x"), maxMessage+1), bodyLarge)
	refuses(source(strings.NewReader(strings.Repeat("x", maxMessage+1)), -1), bodyLarge)
	refuses(source(strings.NewReader("mess"), 7), bodyIncomplete)
	refuses(source(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("message"))), 7), bodyMalformed)
	body, r = h.whole(&bodySource{}, agent)
	require.Nil(t, r)
	require.Empty(t, body)
}

// One agent's messages leave room for all others'.
func TestHeldShares(t *testing.T) {
	var h held
	read := func(who holder, size int) (*bodySource, error) {
		b := &bodySource{from: strings.NewReader(strings.Repeat("x", size))}
		_, err := io.ReadAll(h.reader(b, who))
		return b, err
	}
	greedy, other, stranger := holder{agent: "a"}, holder{agent: "b"}, holder{from: netip.MustParsePrefix("192.0.2.1/32")}
	var all []*bodySource
	for range maxShare / maxMessage {
		b, err := read(greedy, maxMessage)
		require.NoError(t, err)
		all = append(all, b)
	}
	b, err := read(greedy, 1)
	require.ErrorIs(t, err, errShare)
	require.Same(t, shareHeld, unheld(err))
	h.letGo(b)
	for _, who := range []holder{other, stranger} {
		b, err = read(who, maxMessage)
		require.NoError(t, err)
		all = append(all, b)
	}
	h.letGo(all[0])
	b, err = read(greedy, 1)
	require.NoError(t, err, "there is room again")
	for _, b := range append(all, b) {
		h.letGo(b)
	}
	require.Zero(t, h.bytes.Load())
	require.Empty(t, h.shares, "nobody is remembered who holds nothing")
}

// Answers that are read whole are held too.
func TestHeldAnswers(t *testing.T) {
	p := &Proxy{}
	x := &exchange{proxy: p, answer: answered{Answer: guard.Answer{Length: 7}, Line: upstream.Line{Reader: bufio.NewReader(strings.NewReader("message"))}}}
	var b bodySource
	body, err := p.readAnswer(x, &b)
	require.NoError(t, err)
	require.Equal(t, "message", string(body))
	require.Equal(t, int64(7), p.held.bytes.Load())
	p.held.letGo(&b)
	require.Zero(t, p.held.bytes.Load())

	p.held.bytes.Store(maxHeld)
	x.answer.Reader = bufio.NewReader(strings.NewReader("message"))
	_, err = p.readAnswer(x, &b)
	require.ErrorIs(t, err, errHeld)
	p.held.letGo(&b)
	require.Equal(t, int64(maxHeld), p.held.bytes.Load())
}
