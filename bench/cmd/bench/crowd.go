package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	crowdSize    = 10_000
	crowdDialers = 32
	crowdSettles = 3 * time.Second
)

// crowd measures the memory of connections that had a request and keep still.
func (b *bench) crowd(ctx context.Context, r *report) error {
	size := crowdSize
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if room := int(limit.Cur) - 200; room < size {
		fmt.Printf("sidecar  %d connections instead of %d: open files are limited to %d\n", room, size, limit.Cur)
		size = room
	}
	token, err := b.token(ctx)
	if err != nil {
		return err
	}
	for _, target := range []struct {
		way  string
		addr string
	}{{"bare proxy", b.bareAddr}, {"sidecar", b.Sidecar}} {
		if err := b.fresh(ctx); err != nil {
			return err
		}
		pid := b.bare.Process.Pid
		if target.way == "sidecar" {
			_, pid = b.PIDs()
		}
		before, err := memory(pid, "VmRSS")
		if err != nil {
			return err
		}
		conns, err := gather(ctx, target.addr, token, size)
		if err == nil {
			time.Sleep(crowdSettles) // garbage collections come with time
			var after int64
			if after, err = memory(pid, "VmRSS"); err == nil {
				r.crowds = append(r.crowds, crowded{way: target.way, connections: size, before: before, after: after})
				fmt.Printf("sidecar  %s: %d connections take %.0f MiB\n", target.way, size, mebibytes(after))
			}
		}
		for _, conn := range conns {
			_ = conn.Close() // nothing is under way on it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fresh starts both proxies anew: memory that the load took is not this measurement's.
func (b *bench) fresh(ctx context.Context) error {
	if err := kill(b.bare); err != nil {
		return err
	}
	if err := onCore(coreOfServers, b.startBare); err != nil {
		return err
	}
	return b.restart(ctx)
}

// gather opens connections and has one request answered on each. It returns
// those that it opened with an error too.
func gather(ctx context.Context, addr, token string, size int) ([]net.Conn, error) {
	conns, errs := make([]net.Conn, size), make([]error, crowdDialers)
	request := "GET /notes HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	var workers sync.WaitGroup
	for w := range crowdDialers {
		workers.Go(func() {
			for i := w; i < size && errs[w] == nil && ctx.Err() == nil; i += crowdDialers {
				conns[i], errs[w] = ask(ctx, addr, request)
			}
		})
	}
	workers.Wait()
	opened := conns[:0]
	for _, conn := range conns {
		if conn != nil {
			opened = append(opened, conn)
		}
	}
	return opened, errors.Join(errors.Join(errs...), ctx.Err())
}

// ask opens a connection for one request and leaves it open.
func ask(ctx context.Context, addr, request string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return conn, err
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return conn, err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
	if err != nil {
		return conn, err
	}
	_ = response.Body.Close() // small, and nothing follows it
	if response.StatusCode != http.StatusOK {
		return conn, fmt.Errorf("connection at %s: %s", addr, response.Status)
	}
	return conn, nil
}
