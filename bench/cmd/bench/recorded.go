package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const (
	drainWithin = 2 * time.Minute
	drainLook   = 250 * time.Millisecond // a look takes the sidecar's time too
)

// drained waits until the IdP has every record, so that shipping them takes
// nothing from the next measurement.
func drained(ctx context.Context, w way) error {
	if w.admin == "" {
		return nil
	}
	for until := time.Now().Add(drainWithin); time.Now().Before(until); time.Sleep(drainLook) {
		next, acked, err := sequences(ctx, w)
		if err != nil {
			return err
		}
		if acked == next {
			return nil
		}
	}
	return fmt.Errorf("the IdP does not have every record after %s", drainWithin)
}

// sequences are the next one that a sidecar gives out, and the next that the IdP wants.
func sequences(ctx context.Context, w way) (next, acked int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.admin+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	answer, err := stack.Send(http.DefaultClient, request)
	if err != nil {
		return 0, 0, err
	}
	for name, value := range map[string]*int64{"sidecar_audit_next_seq": &next, "sidecar_audit_acked_seq": &acked} {
		if *value, err = gauge(string(answer.Body), name); err != nil {
			return 0, 0, err
		}
	}
	return next, acked, nil
}

// gauge finds a whole-numbered metric in a page of them.
func gauge(page, name string) (int64, error) {
	for line := range strings.Lines(page) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int64(n), err
		}
	}
	return 0, fmt.Errorf("the sidecar has no metric %s", name)
}
