package proxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

// nginxUpstream is an application behind nginx, which merges slashes and hands
// requests on over SCGI: what it sees are CGI variables, a repeated one twice.
func nginxUpstream(t testing.TB) *upstream {
	u := &upstream{}
	dir := shortDir(t)
	accept(t, "unix", filepath.Join(dir, "app.sock"), func(conn net.Conn) {
		if got, err := readSCGI(conn); err == nil {
			u.add(got)
			_, _ = io.WriteString(conn, "Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	socket, err := ln.(*net.TCPListener).File()
	require.NoError(t, err)
	defer socket.Close()
	require.NoError(t, ln.Close()) // nginx has it from here on
	address := ln.Addr().String()
	conf, err := os.ReadFile("testdata/upstreams/nginx.conf")
	require.NoError(t, err)
	file := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // else the worker is nobody, whom our folder is closed to
	}
	text := strings.NewReplacer("{user}", user, "{dir}", dir, "{address}", address).Replace(string(conf))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))

	cmd := exec.Command(program(t, "nginx"), "-p", dir, "-e", "stderr", "-c", file)
	cmd.Env = append(os.Environ(), "NGINX=3;") // the listening sockets that it inherits
	cmd.ExtraFiles = []*os.File{socket}
	run(t, cmd)
	u.URL = "http://" + address
	return u
}

// readSCGI reads a netstring of names and values, each ended by NUL, then the body.
func readSCGI(conn net.Conn) (seen, error) {
	r := bufio.NewReader(conn)
	text, err := r.ReadString(':')
	if err != nil {
		return seen{}, err
	}
	size, err := strconv.Atoi(strings.TrimSuffix(text, ":"))
	if err != nil {
		return seen{}, err
	}
	block := make([]byte, size+1) // and a comma
	if _, err := io.ReadFull(r, block); err != nil {
		return seen{}, err
	}
	fields := strings.Split(string(block[:size]), "\x00")
	variables := map[string][]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		variables[fields[i]] = append(variables[fields[i]], fields[i+1])
	}
	for _, name := range []string{"CONTENT_LENGTH", "REQUEST_METHOD", "REQUEST_URI", "PATH_INFO"} {
		if len(variables[name]) != 1 {
			return seen{}, fmt.Errorf("%s: %q", name, variables[name])
		}
	}
	length, err := strconv.Atoi(variables["CONTENT_LENGTH"][0])
	if err != nil {
		return seen{}, err
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return seen{}, err
	}
	return seen{
		Method: variables["REQUEST_METHOD"][0], Target: variables["REQUEST_URI"][0], Path: variables["PATH_INFO"][0],
		Host: strings.Join(variables["HTTP_HOST"], "|"), Header: cgiHeader(variables), Body: string(body),
	}, nil
}

// cgiHeader undoes what CGI does to names, as far as that can be.
func cgiHeader(variables map[string][]string) http.Header {
	header := http.Header{}
	for name, values := range variables {
		if field, found := strings.CutPrefix(name, "HTTP_"); found {
			header[http.CanonicalHeaderKey(strings.ReplaceAll(field, "_", "-"))] = values
		}
	}
	return header
}

// wsgiUpstream is a Python WSGI server, which folds - and _ in names and joins
// what then has the same one.
func wsgiUpstream(t testing.TB) *upstream {
	u := &upstream{joins: ","}
	path := filepath.Join(shortDir(t), "link.sock")
	port := make(chan int, 1)
	accept(t, "unix", path, func(conn net.Conn) {
		reports := json.NewDecoder(conn)
		var first int
		if reports.Decode(&first) != nil {
			return
		}
		port <- first
		for {
			_, _ = io.WriteString(conn, "\n")
			var got struct {
				Method, Target, Path string
				Fields               map[string]string
				Body                 []byte
			}
			if reports.Decode(&got) != nil {
				return
			}
			variables := map[string][]string{}
			for name, value := range got.Fields {
				variables[name] = []string{value}
			}
			u.add(seen{Method: got.Method, Target: got.Target, Path: got.Path, Host: got.Fields["HTTP_HOST"], Header: cgiHeader(variables), Body: string(got.Body)})
		}
	})
	ended := run(t, exec.Command(program(t, "python3"), "testdata/upstreams/wsgi.py", path))
	select {
	case n := <-port:
		u.URL = fmt.Sprintf("http://127.0.0.1:%d", n)
	case text := <-ended:
		require.Fail(t, "the WSGI server ended", text)
	case <-time.After(30 * time.Second):
		require.Fail(t, "the WSGI server did not start")
	}
	return u
}

// shortDir is a folder whose path a Unix socket's name can hold.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "up") //nolint:usetesting // t.TempDir has the test's name in it, and 100 bytes are all there is
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// accept serves each connection until the test ends.
func accept(t testing.TB, network, address string, serve func(net.Conn)) net.Addr {
	t.Helper()
	ln, err := net.Listen(network, address)
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); open.Wait() })
	return ln.Addr()
}

// program finds one that .ci/servers installs.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	require.NoError(t, err, "%s is missing: run .ci/servers as root, or install it", name)
	return path
}

// run starts a program that lives as long as the test; what it said comes when
// it ends before.
func run(t testing.TB, cmd *exec.Cmd) (ended <-chan string) {
	t.Helper()
	output := &obstest.Output{}
	cmd.Stdout, cmd.Stderr = output, output
	require.NoError(t, cmd.Start())
	over := make(chan string, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		err := cmd.Wait()
		over <- fmt.Sprint(err, "\n", output.String())
	})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		waiting.Wait()
		late.Stop()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	return over
}
