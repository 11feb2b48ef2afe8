package scenario

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const dialers = 32

// gather opens connections and has one request answered on each. It returns
// those that it opened with an error too.
func gather(ctx context.Context, addr, token string, size int) ([]net.Conn, error) {
	conns, errs := make([]net.Conn, size), make([]error, dialers)
	request := "GET /notes HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	var workers sync.WaitGroup
	for w := range dialers {
		workers.Go(func() {
			for i := w; i < size && errs[w] == nil && ctx.Err() == nil; i += dialers {
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
