package spool

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// folder is a closed spool: its files, and the lines in it.
type folder struct {
	files map[string][]byte
	lines map[int64]string
	next  int64
}

// makeFolder fills a spool with n small records after what prepare did, and closes it.
func makeFolder(t testing.TB, n int, prepare func(*Spool)) folder {
	dir := t.TempDir()
	s, err := Open(dir, Options{MaxBytes: MinMaxBytes, BootID: "boot-1", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	if prepare != nil {
		prepare(s)
	}
	for range n {
		_, err := s.Append(&decision.Record{Outcome: decision.Denied, Time: "2026-03-01T10:00:00.123Z", Reason: "no_route"})
		require.NoError(t, err)
	}
	f := folder{files: map[string][]byte{}, lines: map[int64]string{}, next: s.Status().Next}
	b, err := s.Next(1000, 1<<20)
	require.NoError(t, err)
	for line := range bytes.Lines(b.Lines) {
		e, ok := parseEntry(bytes.TrimSuffix(line, []byte("\n")))
		require.True(t, ok)
		f.lines[e.sequence] = string(line)
	}
	require.Len(t, f.lines, int(f.next))
	require.NoError(t, s.Close())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		f.files[e.Name()] = content
	}
	return f
}

// segmentFile is the folder's only segment.
func (f folder) segmentFile(t testing.TB) string {
	var found string
	for name := range f.files {
		if name != stateName && name != lockName && name != owedName {
			require.Empty(t, found)
			found = name
		}
	}
	return found
}

// checks numbers folders: many are made in one test.
var checks atomic.Int64

// check opens the folder with one file replaced: every record that comes out
// is one that went in, and records and gaps together tile all sequences.
func (f folder) check(t testing.TB, name string, content []byte, passes int) {
	dir := filepath.Join(t.TempDir(), fmt.Sprint(checks.Add(1)))
	require.NoError(t, os.Mkdir(dir, 0o700))
	for file, original := range f.files {
		if file == name {
			original = content
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), original, 0o600))
	}
	for pass := range passes {
		s, err := Open(dir, Options{MaxBytes: MinMaxBytes, BootID: "boot-1", Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		_, err = s.Append(denied(0))
		require.NoError(t, err)
		next, anchor := int64(0), ""
		lost := int64(0)
		for {
			b, err := s.Next(1000, 1<<20)
			require.NoError(t, err)
			if b.Records == 0 {
				break
			}
			for line := range bytes.Lines(b.Lines) {
				r, err := decision.Parse(bytes.TrimSuffix(line, []byte("\n")))
				require.NoError(t, err)
				require.Equal(t, next, r.First(), "hole or repeat")
				require.True(t, r.Linked(anchor))
				if original, ok := f.lines[r.Sequence]; ok && r.Outcome != decision.Gap {
					require.Equal(t, original, string(line), "a wrong record")
				}
				if r.Outcome == decision.Gap {
					lost += r.Count
				}
				next, anchor = r.Sequence+1, r.Anchor(bytes.TrimSuffix(line, []byte("\n")))
			}
			require.NoError(t, s.Ack(b.Next))
		}
		require.GreaterOrEqual(t, next, f.next+1)
		require.NoError(t, s.Rewind(0))
		require.NoError(t, s.Close(), "pass %d", pass)
		if pass == 0 && name != stateName && bytes.Equal(content, f.files[name]) {
			require.Zero(t, lost)
		}
	}
}

func packOnly(t testing.TB) func(*Spool) {
	return func(s *Spool) {
		s.mu.Lock()
		c := s.chunks[0]
		s.mu.Unlock()
		for range 30 {
			_, err := s.Append(&decision.Record{Outcome: decision.Denied, Time: "2026-03-01T10:00:00.123Z", Reason: "no_route"})
			require.NoError(t, err)
		}
		s.mu.Lock()
		require.NoError(t, s.rotate())
		whole := c.view()
		s.mu.Unlock()
		path := (&chunk{kind: packed, first: 0}).path(s.dir)
		size, err := packFile(path, whole)
		require.NoError(t, err)
		require.NoError(t, s.flush())
		s.mu.Lock()
		require.NoError(t, os.Remove(c.path(s.dir)))
		require.NoError(t, c.file.Close())
		c.kind, c.file, c.end, c.size = packed, nil, 0, size
		s.mu.Unlock()
	}
}

// someBytes runs f for every fifth offset, a few at a time: opening a folder
// costs its fsyncs. What is read from bytes is tested at each of them below.
func someBytes(t *testing.T, n int, f func(t *testing.T, at, passes int)) {
	const shards, step = 4, 5
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for at := shard * step; at < n; at += shards * step {
				passes := 1
				if at%7 == 0 { // what the first start repaired, the second must find whole
					passes = 2
				}
				f(t, at, passes)
			}
		})
	}
}

// Whatever bit flips, wherever the file ends: a scan finds a prefix of the
// records, and knows that something is missing.
func TestScanEveryBit(t *testing.T) {
	f := makeFolder(t, 4, nil)
	original := f.files[f.segmentFile(t)]
	end := len(bytes.TrimRight(original, "\x00"))
	original = original[:end+512] // the zeros behind are alike
	prefix := func(data []byte) scanned {
		found := scan(data, chain{})
		for at, i := headerSize, int64(0); at < found.end; i++ {
			line, next := frameAt(data, at)
			require.Equal(t, f.lines[i], string(line)+"\n")
			at = next
		}
		return found
	}
	whole := prefix(original)
	require.Equal(t, f.next, whole.at.next)
	require.False(t, whole.damaged)
	for at := headerSize; at < end; at++ {
		for bit := range 8 {
			content := bytes.Clone(original)
			content[at] ^= 1 << bit
			found := prefix(content)
			if found.at.next < f.next { // else the bit is padding between frames
				require.True(t, found.damaged, at)
				require.Equal(t, max(f.next, found.at.next+1), max(found.lost, f.next), at)
			}
		}
		prefix(original[:at])
	}
}

// The same of packed lines, with and without the checksum being right.
func TestTrustEveryBit(t *testing.T) {
	f := makeFolder(t, 4, nil)
	var all []byte
	for i := range f.next {
		all = append(all, f.lines[i]...)
	}
	whole := trust(all, chain{}, f.next, true)
	require.True(t, whole.intact)
	require.Equal(t, all, whole.lines)
	require.Equal(t, f.next, whole.decisions)
	for at := range all {
		for bit := range 8 {
			content := bytes.Clone(all)
			content[at] ^= 1 << bit
			u := trust(content, chain{}, f.next, false)
			require.False(t, u.intact)
			require.True(t, bytes.HasPrefix(all, u.lines), at)
			require.Equal(t, bytes.Count(u.lines, []byte("\n")), int(u.end.next))
			require.Less(t, u.end.next, f.next)
		}
		u := trust(all[:at], chain{}, f.next, false)
		require.False(t, u.intact)
		require.True(t, bytes.HasPrefix(all, u.lines))
	}
}

func TestFlipARawSegment(t *testing.T) {
	f := makeFolder(t, 4, nil)
	name := f.segmentFile(t)
	original := f.files[name]
	end := len(bytes.TrimRight(original, "\x00"))
	someBytes(t, end+16, func(t *testing.T, at, passes int) {
		content := bytes.Clone(original)
		content[at] ^= 1 << (at % 8)
		f.check(t, name, content, passes)
	})
}

func TestCutARawSegment(t *testing.T) {
	f := makeFolder(t, 4, nil)
	name := f.segmentFile(t)
	end := len(bytes.TrimRight(f.files[name], "\x00"))
	someBytes(t, end+16, func(t *testing.T, at, passes int) {
		if at%2 == 0 {
			f.check(t, name, f.files[name][:at], passes)
			return
		}
		torn := bytes.Clone(f.files[name]) // what a power cut leaves: zeros from there on
		clear(torn[at:])
		f.check(t, name, torn, passes)
	})
}

func TestFlipAndCutAPackedSegment(t *testing.T) {
	f := makeFolder(t, 3, packOnly(t))
	name := fileName(0, packedSuffix)
	original := f.files[name]
	f.check(t, name, original, 1)
	someBytes(t, len(original), func(t *testing.T, at, passes int) {
		content := bytes.Clone(original)
		content[at] ^= 1 << (at % 8)
		f.check(t, name, content, passes)
		if at%2 == 0 {
			f.check(t, name, original[:at], 1)
		}
	})
}

func TestFlipTheState(t *testing.T) {
	f := makeFolder(t, 3, nil)
	original := f.files[stateName]
	someBytes(t, len(original), func(t *testing.T, at, passes int) {
		content := bytes.Clone(original)
		content[at] ^= 1 << (at % 8)
		f.check(t, stateName, content, passes)
	})
}

// A sealed segment that rots while the process runs ends in a gap of exactly its rest.
func TestRotWhileRunning(t *testing.T) {
	for _, form := range []string{rawSuffix, packedSuffix} {
		t.Run(form, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			appendN(t, s, 1_400)
			eventually(t, "packed", func() bool { return len(files(t, dir, packedSuffix)) > 0 && len(files(t, dir, rawSuffix)) == keepRaw+1 })
			path := files(t, dir, form)[0]
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			content[len(content)/2] ^= 1
			require.NoError(t, os.WriteFile(path, content, 0o600))
			records := drain(t, s)
			found := gaps(records)
			require.Len(t, found, 1)
			require.Equal(t, decision.GapCorrupt, found[0].Reason)
			require.Equal(t, found[0].Sequence-*found[0].FirstSequence+1, found[0].Count)
			kept, lost := decisions(records)
			require.Equal(t, int64(1_400), kept+lost)
			require.Greater(t, kept, int64(1_050), "the others are recovered")
		})
	}
}

// The same in the active segment, and with a packed file gone.
func TestActiveRotsAndFileGone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	appendN(t, s, 50)
	path := files(t, dir, rawSuffix)[0]
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte{0xff}, 8000)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	records := drain(t, s)
	kept, lost := decisions(records)
	require.Equal(t, int64(50), kept+lost)
	require.Positive(t, lost)
	require.Len(t, gaps(records), 1)
	appendN(t, s, 1)
	require.Len(t, drain(t, s), 1)

	appendN(t, s, 1500)
	eventually(t, "packed", func() bool { return len(files(t, dir, packedSuffix)) > 0 && len(files(t, dir, rawSuffix)) == keepRaw+1 })
	require.NoError(t, os.Remove(files(t, dir, packedSuffix)[0]))
	records = drain(t, s)
	kept, lost = decisions(records)
	require.Equal(t, int64(1500), kept+lost)
	require.Len(t, gaps(records), 1)
}

// FuzzDamage is what the two tests above do at chosen places, at any.
func FuzzDamage(f *testing.F) {
	rawFolder, packedFolder := makeFolder(f, 6, nil), makeFolder(f, 3, packOnly(f))
	f.Add(uint8(0), uint32(300), uint32(2), false)
	f.Add(uint8(1), uint32(200), uint32(900), true)
	f.Add(uint8(2), uint32(20), uint32(10), false)
	f.Fuzz(func(t *testing.T, which uint8, at, xor uint32, cut bool) {
		folder, name := rawFolder, rawFolder.segmentFile(t)
		switch which % 3 {
		case 0:
		case 1:
			folder, name = packedFolder, fileName(0, packedSuffix)
		default:
			name = stateName
		}
		content := bytes.Clone(folder.files[name])
		at %= min(uint32(len(content)), 4096)
		if cut {
			content = content[:at]
		} else {
			for i := range 4 {
				if int(at)+i < len(content) {
					content[int(at)+i] ^= byte(xor >> (8 * i))
				}
			}
		}
		folder.check(t, name, content, 2)
	})
}

func TestSegmentNamesSort(t *testing.T) {
	require.Less(t, fileName(9, rawSuffix), fileName(10, rawSuffix))
	require.Equal(t, fmt.Sprintf("%020d.log", 7), fileName(7, rawSuffix))
}
