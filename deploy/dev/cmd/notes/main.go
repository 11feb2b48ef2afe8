// Notes serves the notes API of the development stack.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/notes"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8090", "address to listen on")
	file := flag.String("file", "notes.jsonl", "file that keeps the notes")
	health := flag.String("health", "", "URL to get instead: done when one that runs answers")
	flag.Parse()
	var err error
	if *health != "" {
		err = probe(*health)
	} else {
		err = run(*addr, *file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notes:", err)
		os.Exit(1)
	}
}

func probe(url string) error {
	answer, err := (&http.Client{Timeout: 4 * time.Second}).Get(url) //nolint:noctx // the client's timeout ends it
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		err = errors.New(answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

func run(addr, file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store, err := notes.Open(file)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: addr, Handler: store.Handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = server.Shutdown(drain)
	}
	return errors.Join(err, store.Close())
}
