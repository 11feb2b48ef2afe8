package spool

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/sentryagent/agentidp/shared/durable"
)

// Sealed segments stay as they are while there are few of them: mostly they are
// shipped before packing would pay. Where there is room it can be mostRaw, some
// seconds of a busy sidecar, which still recover in a fraction of one.
const (
	keepRaw = 2
	mostRaw = 8
)

// raws is how many stay: at most a quarter of the room.
func (s *Spool) raws() int {
	return max(keepRaw, int(min(mostRaw, s.opts.MaxBytes/int64(s.segment)/4)))
}

// syncLoop bounds what a power cut can take to SyncInterval, and saves the state.
func (s *Spool) syncLoop() {
	tick := time.NewTicker(SyncInterval)
	defer tick.Stop()
	var saved time.Time
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			if s.Err() != nil {
				continue
			}
			if err := s.flush(); err != nil {
				s.fail(err)
				continue
			}
			s.mu.Lock()
			due := s.urgent || s.changed && now.Sub(saved) >= stateInterval
			s.mu.Unlock()
			if !due {
				continue
			}
			saved = now
			if err := s.save(false); err != nil {
				s.log.Warn("decision spool cannot save its state; it will try again", "error", err)
			}
		}
	}
}

// flush makes everything appended so far durable. An error is final: pages
// whose write failed count as clean afterwards, so a second try proves nothing.
func (s *Spool) flush() error {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
	type part struct {
		c      *chunk
		end    int
		sealed bool
	}
	s.mu.Lock()
	active := s.chunks[len(s.chunks)-1]
	parts := make([]part, 0, len(s.unsynced))
	for _, c := range s.unsynced {
		parts = append(parts, part{c, c.end, c != active})
	}
	head, renamed := s.head, s.renamed
	s.unsynced = append(s.unsynced[:0], active)
	s.head, s.renamed = false, false
	s.mu.Unlock()

	for _, p := range parts {
		if err := p.c.sync(p.end, head && !p.sealed); err != nil {
			return err
		}
		if p.sealed {
			if err := p.c.unmap(); err != nil {
				return err
			}
		}
	}
	if renamed {
		return durable.SyncDir(s.dir)
	}
	return nil
}

// tendLoop prepares the next segment and packs old ones, away from Append.
func (s *Spool) tendLoop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		case <-s.wake:
		}
		if s.Err() != nil {
			continue
		}
		if err := s.prepare(); err != nil {
			s.log.Warn("decision spool has no room for its next segment", "error", err)
		}
		for {
			again, err := s.pack()
			if err != nil {
				s.log.Warn("decision spool cannot pack a segment; it stays as it is", "error", err)
			}
			if !again {
				break
			}
		}
		s.settle()
	}
}

// prepare makes the spare segment, and finds out whether a full disk has room again.
func (s *Spool) prepare() error {
	s.mu.Lock()
	have := s.spare != nil
	s.mu.Unlock()
	if have {
		return nil
	}
	spare, err := newBlank(filepath.Join(s.dir, spareName), s.segment)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spare != nil || s.closed {
		return spare.discard()
	}
	s.spare, s.stuck = spare, false
	s.resize(0)
	return nil
}

// settle declares losses as soon as there is room, without waiting for the next decision.
func (s *Spool) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.count > 0 && !s.tight.Load() && s.open() == nil {
		s.declare()
		s.signal()
	}
}

// Close declares pending losses, makes everything durable and marks the folder
// as left in order.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	if s.pending.count > 0 && s.Err() == nil {
		s.declare()
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.done.Wait()
	err := s.Err()
	if err == nil {
		err = s.flush()
	}
	if err == nil {
		err = s.save(true)
	}
	return errors.Join(err, s.release(), s.lock.Close())
}

// release gives back files and mappings, but not the lock.
func (s *Spool) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.owed.close()
	for _, c := range s.chunks {
		err = errors.Join(err, c.unmap())
		if c.file != nil {
			err = errors.Join(err, c.file.Close())
		}
	}
	for _, file := range s.closing {
		err = errors.Join(err, file.Close())
	}
	if s.spare != nil {
		err = errors.Join(err, s.spare.discard())
	}
	s.chunks, s.closing, s.spare = s.chunks[:0], nil, nil
	return err
}
