package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// sentinels find the master and end the connections to one that is master no
// more. The library can do that too, but a reply too short stops the process.
type sentinels struct {
	clients []*redis.SentinelClient
	master  string
	connect func(ctx context.Context, network, addr string) (net.Conn, error)

	mu   sync.Mutex
	open map[*masterConn]string // address of each open connection; guarded by mu
}

func newSentinels(t *target) *sentinels {
	s := &sentinels{master: t.master, connect: t.dial, open: map[*masterConn]string{}}
	for _, addr := range t.addrs {
		o := t.options()
		o.Addrs, o.Username, o.Password, o.DB = []string{addr}, "", t.sentinelPassword, 0
		s.clients = append(s.clients, redis.NewSentinelClient(o.Simple()))
	}
	return s
}

// find asks every sentinel and takes the first answer.
func (s *sentinels) find(ctx context.Context) (addr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	type answer struct {
		reply []string
		err   error
	}
	answers := make(chan answer, len(s.clients))
	for _, client := range s.clients {
		go func() {
			reply, err := client.GetMasterAddrByName(ctx, s.master).Result()
			answers <- answer{reply, err}
		}()
	}
	var failures []error
	for range s.clients {
		a := <-answers
		switch {
		case errors.Is(a.err, redis.Nil):
			a.err = fmt.Errorf("sentinel knows no master %q", s.master)
		case a.err == nil && len(a.reply) == 2:
			return net.JoinHostPort(a.reply[0], a.reply[1]), nil
		case a.err == nil:
			a.err = errReply
		}
		failures = append(failures, a.err)
	}
	return "", errors.Join(failures...)
}

// dial connects to the master.
func (s *sentinels) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	addr, err := s.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the master: %w", err)
	}
	conn, err := s.connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tracked := &masterConn{Conn: conn, of: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[tracked] = addr
	return tracked, nil
}

// follow ends the connections to any other than the master of now. While no
// sentinel answers, the connections there are go on.
func (s *sentinels) follow(ctx context.Context) {
	master, err := s.find(ctx)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, addr := range s.open {
		if addr != master {
			_ = conn.Conn.Close() // whoever uses it sees that
		}
	}
}

func (s *sentinels) close() error {
	var errs []error
	for _, client := range s.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

// masterConn is a connection that its sentinels know of until it is closed.
type masterConn struct {
	net.Conn
	of *sentinels
}

func (c *masterConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
