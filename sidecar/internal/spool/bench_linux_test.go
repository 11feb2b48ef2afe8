package spool

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func benchSpool(b *testing.B) *Spool {
	s, err := Open(b.TempDir(), Options{Policy: DropOldest})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// rewindSegment begins the active segment anew, so that a benchmark of Append
// measures neither the disk nor the packing.
func rewindSegment(s *Spool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chunks[len(s.chunks)-1]
	if c.end > len(c.data)*3/4 {
		c.end, c.synced = headerSize, headerSize
	}
}

// threadTime is the processor time this thread has used: what a call costs on
// a machine that has other things to do.
func threadTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_THREAD, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkAppend(b *testing.B) {
	s, r := benchSpool(b), allowed(1)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	start := threadTime(b)
	defer func() { b.ReportMetric(float64(threadTime(b)-start)/float64(b.N), "cpu-ns/op") }()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Append(r); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 0 {
			rewindSegment(s)
		}
	}
}

func BenchmarkAppendParallel(b *testing.B) {
	s := benchSpool(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := allowed(1)
		for i := 0; pb.Next(); i++ {
			if _, err := s.Append(r); err != nil {
				b.Error(err)
				return
			}
			if i%1000 == 0 {
				rewindSegment(s)
			}
		}
	})
}

// BenchmarkRotate is Append with all that comes with it: new segments, dirty
// pages on their way to the disk, packing. Nobody ships.
func BenchmarkRotate(b *testing.B) {
	s, r := benchSpool(b), allowed(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Append(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	r := allowed(1)
	buffer := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buffer, _ = encodeTail(buffer[:0], r, noon)
	}
}

// BenchmarkShip is the whole way of a record: appended here, read, acknowledged.
func BenchmarkShip(b *testing.B) {
	s, r := benchSpool(b), allowed(1)
	b.ReportAllocs()
	var group sync.WaitGroup
	stop := make(chan struct{})
	shipped := 0
	group.Go(func() {
		var sink bytes.Buffer
		for {
			batch, err := s.Next(5000, 4<<20)
			if err == nil && batch.Records > 0 {
				sink.Reset()
				sink.Write(batch.Lines)
				shipped += batch.Records
				err = s.Ack(batch.Next)
			}
			if err != nil {
				b.Error(err)
				return
			}
			if batch.Records > 0 {
				continue
			}
			select {
			case <-s.Ready():
			case <-stop:
				return
			}
		}
	})
	for b.Loop() {
		if _, err := s.Append(r); err != nil {
			b.Fatal(err)
		}
	}
	close(stop)
	group.Wait()
	b.ReportMetric(float64(s.Status().Lost), "lost")
}

// BenchmarkOwe is what each exchange pays for: noted before it is sent, and paid.
func BenchmarkOwe(b *testing.B) {
	for name, parallel := range map[string]bool{"alone": false, "parallel": true} {
		b.Run(name, func(b *testing.B) {
			s := benchSpool(b)
			b.ReportAllocs()
			if !parallel {
				for b.Loop() {
					s.Owe(1)
					s.Owe(-1)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s.Owe(1)
					s.Owe(-1)
				}
			})
		})
	}
}
