package redis

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/volatile"
)

func TestDecodeVerdict(t *testing.T) {
	list := func(n ...int64) (reply []any) {
		for _, n := range n {
			reply = append(reply, n)
		}
		return reply
	}
	v, err := decodeVerdict(list(1, 4, 1000, 0), 5, time.Second)
	require.NoError(t, err)
	require.Equal(t, volatile.Verdict{Allowed: true, Limit: 5, Window: time.Second, Remaining: 4, Reset: time.Second}, v)
	v, err = decodeVerdict(list(0, 0, 900, 1), 5, time.Second)
	require.NoError(t, err)
	require.Equal(t, volatile.Verdict{Limit: 5, Window: time.Second, Reset: 900 * time.Millisecond, RetryAfter: time.Millisecond}, v)
	for _, reply := range []any{
		nil, "OK", int64(1), []any{}, list(1, 4, 1000), list(1, 4, 1000, 0, 0), []any{"1", "4", "1000", "0"}, []any{int64(1), nil, nil, nil},
		list(2, 4, 1000, 0), list(-1, 0, 900, 1), list(1, 5, 1000, 0), list(1, -1, 1000, 0), list(1, 4, 999, 0), list(1, 4, 1000, 1),
		list(0, 1, 900, 1), list(0, 0, 900, 0), list(0, 0, 900, 901), list(0, 0, 1001, 1), list(0, 0, -1, -1),
	} {
		_, err := decodeVerdict(reply, 5, time.Second)
		require.ErrorIs(t, err, errReply, "%v", reply)
	}
}

func TestDecodeSignal(t *testing.T) {
	sender, topic, ok := decodeSignal(encodeSignal("me", "revocations"))
	require.True(t, ok)
	require.Equal(t, []string{"me", "revocations"}, []string{sender, topic})
	for _, payload := range []string{"", "me", "me ", "me a b", "me ä", "me " + string(make([]byte, 65))} {
		_, _, ok := decodeSignal(payload)
		require.False(t, ok, payload)
	}
}

func FuzzDecode(f *testing.F) {
	n := newNamer(make([]byte, KeySize))
	now := time.Unix(1_700_000_000, 0)
	good := n.seal("name", []byte("value"), now.Add(time.Hour))
	f.Add(good, int64(1), int64(4), int64(1000), int64(0))
	f.Add(good[:len(good)-1], int64(0), int64(0), int64(900), int64(1))
	f.Add([]byte("sender topic"), int64(-1), int64(1)<<62, int64(-1), int64(7))
	f.Fuzz(func(t *testing.T, data []byte, a, b, c, d int64) {
		value, ttl, err := n.unseal("name", data, now)
		if (err == nil) != (string(data) == string(good)) || (err == nil && (string(value) != "value" || ttl != time.Hour)) {
			t.Fatalf("believed %q", data)
		}
		v, err := decodeVerdict([]any{a, b, c, d}, 5, time.Second)
		if err == nil && (v.Allowed == (v.RetryAfter > 0) || v.Remaining < 0 || v.Remaining >= 5 || v.Reset < v.RetryAfter || v.Reset > time.Second) {
			t.Fatalf("believed %+v", v)
		}
		if _, err := decodeVerdict([]any{data, a, b, c}, 5, time.Second); err == nil {
			t.Fatal("believed bytes")
		}
		if _, topic, ok := decodeSignal(string(data)); ok && (topic == "" || len(topic) > volatile.MaxTopic) {
			t.Fatalf("believed topic %q", topic)
		}
	})
}

// FuzzReply answers the script with anything, on the wire.
func FuzzReply(f *testing.F) {
	for _, reply := range []string{
		"*4\r\n:1\r\n:4\r\n:1000\r\n:0\r\n", "*4\r\n:0\r\n:0\r\n:900\r\n:1\r\n", "-ERR no\r\n", "-MOVED 1 127.0.0.1:1\r\n", "-NOSCRIPT\r\n", "$-1\r\n", "*-1\r\n",
		"+OK\r\n", "*4\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n", "%1\r\n:1\r\n:2\r\n", ">2\r\n+a\r\n+b\r\n", "*1\r\n*1\r\n*1\r\n:1\r\n", "",
	} {
		f.Add([]byte(reply))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		c := &Client{rdb: &server{UniversalClient: redis.NewClient(&redis.Options{
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				return &boundedConn{Conn: answering(reply)}, nil
			},
			Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, ContextTimeoutEnabled: true,
		})}}
		defer c.rdb.Close()
		ctx, cancel := context.WithTimeout(context.Background(), budget)
		defer cancel()
		v, err := c.take(ctx, "name", 5, time.Second)
		if err == nil && (v.Limit != 5 || v.Allowed == (v.RetryAfter > 0) || v.Remaining < 0 || v.Remaining >= 5) {
			t.Fatalf("believed %+v", v)
		}
	})
}

// answering is a server that greets as Redis does and answers what follows with
// the reply, then hangs up.
func answering(reply []byte) net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		defer ours.Close()
		in := bufio.NewReader(ours)
		for {
			command, err := readCommand(in)
			if err != nil {
				return
			}
			if command == "hello" || command == "HELLO" {
				_, _ = ours.Write([]byte("*0\r\n"))
				continue
			}
			_, _ = ours.Write(reply)
			return
		}
	}()
	return theirs
}

// readCommand reads one command and returns its name.
func readCommand(in *bufio.Reader) (name string, err error) {
	line, err := in.ReadString('\n')
	if err != nil || len(line) < 3 {
		return "", err
	}
	n, err := strconv.Atoi(line[1 : len(line)-2])
	for i := 0; i < n && err == nil; i++ {
		if _, err = in.ReadString('\n'); err != nil {
			return "", err
		}
		if line, err = in.ReadString('\n'); i == 0 && err == nil {
			name = line[:len(line)-2]
		}
	}
	return name, err
}
