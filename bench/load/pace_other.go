//go:build !linux

package load

import "time"

type pacer struct{}

func newPacer() *pacer { return &pacer{} }

func (*pacer) until(t time.Time) { time.Sleep(time.Until(t)) }

func (*pacer) close() {}
