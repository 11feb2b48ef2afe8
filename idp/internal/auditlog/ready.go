package auditlog

import (
	"context"
	"errors"
)

// Ready says why nothing can be written; nil when the writer takes work.
func (l *Log) Ready(context.Context) error {
	select {
	case <-l.stopped:
		return errors.New("the audit log is stopped")
	default:
	}
	if len(l.queue) == cap(l.queue) {
		return errors.New("the audit queue is full")
	}
	return nil
}
