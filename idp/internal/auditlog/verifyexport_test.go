package auditlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
)

// sampleLog is a log of signed events without a store, and exports made from it
// by what docs/audit.md says of their form alone.
type sampleLog struct {
	t        testing.TB
	signer   note.Signer
	verifier note.Verifier
	events   []string
}

func newSample(t testing.TB, size int) *sampleLog {
	t.Helper()
	return newSampleOf(t, size, 1)
}

// newSampleOf makes a log whose key comes from seed: fuzzing needs the same in
// all its processes.
func newSampleOf(t testing.TB, size int, seed byte) *sampleLog {
	t.Helper()
	secret := bytes.Repeat([]byte{seed}, ed25519.SeedSize)
	vkey, err := note.NewEd25519VerifierKey("idp.example.com/audit", ed25519.NewKeyFromSeed(secret).Public().(ed25519.PublicKey))
	require.NoError(t, err)
	named := vkey[:strings.LastIndex(vkey, "+")]
	s := &sampleLog{t: t}
	s.signer, err = note.NewSigner("PRIVATE+KEY+" + named + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, secret...)))
	require.NoError(t, err)
	s.verifier, err = note.NewVerifier(vkey)
	require.NoError(t, err)
	for i := range size {
		body, err := auditlog.Encode(&idp.Event{
			ID: fmt.Sprintf("e-%03d", i), Sequence: int64(i), OrganizationID: []string{"default", "acme"}[i&1], AgentID: "a", Action: idp.ActionTokenIssued,
			Outcome: idp.Success, Timestamp: noon.Add(time.Duration(i) * time.Second), Metadata: map[string]any{"text": "<€ \n>", "n": int64(i) << 56, "f": 1e-7},
		})
		require.NoError(t, err)
		s.events = append(s.events, string(body))
	}
	return s
}

func naiveRoot(events []string) tlog.Hash {
	if len(events) == 1 {
		return tlog.RecordHash([]byte(events[0]))
	}
	k := 1
	for 2*k < len(events) {
		k *= 2
	}
	return tlog.NodeHash(naiveRoot(events[:k]), naiveRoot(events[k:]))
}

// checkpoint signs the first size events.
func (s *sampleLog) checkpoint(size int) []byte {
	root := naiveRoot(s.events[:size])
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", s.signer.Name(), size, base64.StdEncoding.EncodeToString(root[:]))}, s.signer)
	require.NoError(s.t, err)
	return signed
}

// header makes the first line; more stands behind the checkpoint.
func (s *sampleLog) header(more string) string {
	encoded, err := json.Marshal(string(s.checkpoint(len(s.events))))
	require.NoError(s.t, err)
	return `{"export":{"version":1,"checkpoint":` + string(encoded) + more + "}}"
}

func (s *sampleLog) subtree(level, index int) string {
	root := naiveRoot(s.events[index<<level : (index+1)<<level])
	return fmt.Sprintf(`{"subtree":{"level":%d,"index":%d,"hash":"%s"}}`, level, index, base64.StdEncoding.EncodeToString(root[:]))
}

// lines are those of an export of the events that keep wants.
func (s *sampleLog) lines(more string, keep func(i int) bool) []string {
	lines := []string{s.header(more)}
	for i := 0; i < len(s.events); {
		if keep(i) {
			lines = append(lines, s.events[i])
			i++
			continue
		}
		level := 0
		for fits := func(l int) bool {
			if i&(1<<l-1) != 0 || i+1<<l > len(s.events) {
				return false
			}
			for j := i; j < i+1<<l; j++ {
				if keep(j) {
					return false
				}
			}
			return true
		}; fits(level + 1); {
			level++
		}
		lines = append(lines, s.subtree(level, i>>level))
		i += 1 << level
	}
	return lines
}

func all(int) bool    { return true }
func odd(i int) bool  { return i&1 == 1 }
func none(i int) bool { return false }

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func (s *sampleLog) verify(content string, checkpoints ...[]byte) auditlog.ExportReport {
	report, err := auditlog.VerifyExport(strings.NewReader(content), auditlog.VerifyExportOptions{Verifier: s.verifier, Checkpoints: checkpoints})
	require.NoError(s.t, err)
	return report
}

func TestWhatAVerifiedExportSays(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 8, 13, 32, 33} {
		s := newSample(t, size)
		report := s.verify(text(s.lines("", all)))
		require.True(t, report.Whole(), "%v", report.Problem)
		require.Equal(t, naiveRoot(s.events), report.Root)
		if size > 1 {
			report = s.verify(text(s.lines(`,"organizationId":"acme"`, odd)))
			require.Nil(t, report.Problem)
			require.Equal(t, int64(size/2), report.Events)
			require.Equal(t, "acme", report.OrganizationID)
			require.False(t, report.Whole())
		}
		report = s.verify(text(s.lines(`,"from":"2027-01-01T00:00:00.000Z"`, none)))
		require.Nil(t, report.Problem)
		require.Zero(t, report.Events)
		report = s.verify(text(s.lines(`,"from":"2026-07-01T12:00:02.000Z","to":"2026-07-01T12:00:05.000Z"`, func(i int) bool { return i >= 2 && i < 5 })))
		require.Nil(t, report.Problem)
		require.Equal(t, int64(min(max(size-2, 0), 3)), report.Events)
	}
}

// Whatever single byte changes, the export is refused.
func TestNoByteOfAnExportCanChange(t *testing.T) {
	s := newSample(t, 7)
	for _, lines := range [][]string{s.lines("", all), s.lines(`,"organizationId":"acme"`, odd)} {
		content := []byte(text(lines))
		for i := range content {
			for _, flip := range []byte{0x01, 0x20} {
				changed := slices.Clone(content)
				changed[i] ^= flip
				report, err := auditlog.VerifyExport(bytes.NewReader(changed), auditlog.VerifyExportOptions{Verifier: s.verifier})
				require.NoError(t, err)
				require.NotNil(t, report.Problem, "byte %d (%q) ^ %x", i, content[i], flip)
			}
		}
	}
}

func TestABadExportNamesTheLine(t *testing.T) {
	s, other := newSample(t, 12), newSampleOf(t, 12, 2)
	whole, half := s.lines("", all), s.lines(`,"organizationId":"acme"`, odd)
	edit := func(lines []string, fn func(lines []string) []string) string { return text(fn(slices.Clone(lines))) }
	replaced := func(lines []string, n int, line string) string {
		return edit(lines, func(l []string) []string { l[n-1] = line; return l })
	}
	for name, row := range map[string]struct {
		content     string
		first, last int64
		what        string
	}{
		"empty":                      {"", 1, 1, "empty"},
		"another key":                {text(other.lines("", all)), 1, 1, "not signed by the key"},
		"no header":                  {text(whole[1:]), 1, 1, "not the header"},
		"two headers":                {replaced(whole, 2, whole[0]), 2, 2, "neither an event nor a subtree"},
		"another version":            {replaced(whole, 1, strings.Replace(whole[0], `"version":1`, `"version":2`, 1)), 1, 1, "version 2"},
		"a bad time":                 {replaced(whole, 1, s.header(`,"from":"2026-07-01"`)), 1, 1, "not a time"},
		"a header member twice":      {replaced(whole, 1, s.header(`,"from":"2027-01-01T00:00:00.000Z","from":"2026-01-01T00:00:00.000Z"`)), 1, 1, "not spelt"},
		"an unknown header member":   {replaced(whole, 1, s.header(`,"complete":true`)), 1, 1, "not spelt"},
		"a null header":              {replaced(whole, 1, `{"export":null}`), 1, 1, "not the header"},
		"a space":                    {replaced(whole, 3, whole[2]+" "), 3, 3, "canonical"},
		"CRLF":                       {strings.ReplaceAll(text(whole), "\n", "\r\n"), 1, 1, "not spelt"},
		"an empty line":              {replaced(whole, 3, ""), 3, 3, "neither"},
		"an unknown kind":            {replaced(whole, 3, `{"checkpoint":""}`), 3, 3, "neither"},
		"an event's member twice":    {replaced(whole, 3, strings.Replace(whole[2], `{"action":`, `{"action":"x.y","action":`, 1)), 3, 3, "canonical"},
		"an unknown member":          {replaced(whole, 3, strings.Replace(whole[2], `"agentId":`, `"agent":"x","agentId":`, 1)), 3, 3, "unknown field"},
		"a member of another case":   {replaced(whole, 3, strings.Replace(whole[2], `"agentId":`, `"AgentId":`, 1)), 3, 3, "canonical"},
		"an event cut short":         {replaced(whole, 3, whole[2][:50]), 3, 3, "not an event"},
		"a bad timestamp":            {replaced(whole, 3, strings.Replace(whole[2], "12:00:01.000Z", "12:00:61.000Z", 1)), 3, 3, "timestamp"},
		"a number too large":         {replaced(whole, 3, strings.Replace(whole[2], `"f":1e-7`, `"f":1e999`, 1)), 3, 3, "not an event"},
		"two events in a line":       {replaced(whole, 3, whole[2]+whole[3]), 3, 3, "canonical"},
		"an event missing":           {edit(whole, func(l []string) []string { return slices.Delete(l, 4, 5) }), 5, 5, "in the place of event 3"},
		"an event twice":             {edit(whole, func(l []string) []string { return slices.Insert(l, 4, l[4]) }), 6, 6, "in the place of event 4"},
		"events swapped":             {edit(whole, func(l []string) []string { l[4], l[5] = l[5], l[4]; return l }), 5, 5, "in the place of event 3"},
		"the end missing":            {text(whole[:10]), 10, 10, "event 9 of 12"},
		"cut inside a line":          {strings.TrimSuffix(text(whole), "}\n"), 13, 13, "no end"},
		"cut before the last LF":     {strings.TrimSuffix(text(whole), "\n"), 13, 13, "no end"},
		"the header alone":           {text(whole[:1]), 1, 1, "event 0 of 12"},
		"an event behind the last":   {text(append(slices.Clone(whole), whole[1])), 14, 14, "stand before it"},
		"a subtree behind the last":  {text(append(slices.Clone(whole), s.subtree(0, 0))), 14, 14, "stand before it"},
		"anything behind the last":   {text(whole) + "\n", 14, 14, "stand before it"},
		"an endless line":            {text(whole[:3]) + `{"action":"` + strings.Repeat("x", 1<<20), 4, 4, "longer"},
		"an event altered":           {replaced(whole, 3, strings.Replace(whole[2], "success", "failure", 1)), 2, 13, "not what was signed"},
		"a hash altered":             {replaced(half, 2, strings.Replace(half[1], `"hash":"`, `"hash":"A`, 1)), 2, 2, "not spelt"},
		"another subtree's hash":     {replaced(half, 2, strings.Replace(s.subtree(0, 2), `"index":2`, `"index":0`, 1)), 2, 13, "not what was signed"},
		"a subtree at another place": {replaced(half, 2, s.subtree(0, 2)), 2, 2, "begins at event 2, in the place of event 0"},
		"a subtree too large":        {text(append(slices.Clone(whole[:9]), `{"subtree":{"level":3,"index":1,"hash":"`+strings.Repeat("A", 43)+`="}}`)), 10, 10, "ends after event 11"},
		"a subtree of no level":      {text(append(slices.Clone(whole[:1]), `{"subtree":{"level":-1,"index":0,"hash":"`+strings.Repeat("A", 43)+`="}}`)), 2, 2, "no such subtree"},
		"a subtree of level 62":      {text(append(slices.Clone(whole[:1]), `{"subtree":{"level":62,"index":0,"hash":"`+strings.Repeat("A", 43)+`="}}`)), 2, 2, "no such subtree"},
		"a subtree of no index":      {text(append(slices.Clone(whole[:1]), `{"subtree":{"level":1,"index":9223372036854775807,"hash":"`+strings.Repeat("A", 43)+`="}}`)), 2, 2, "no such subtree"},
		"a subtree in two halves":    {edit(whole[:1], func(l []string) []string { return append(l, s.subtree(1, 0), s.subtree(1, 1)) }), 3, 3, "one larger subtree"},
		"a subtree member twice":     {replaced(half, 2, strings.Replace(half[1], `"level":0`, `"level":0,"level":0`, 1)), 2, 2, "not spelt"},
		"a null subtree":             {replaced(half, 2, `{"subtree":null}`), 2, 2, "not spelt"},
		"another organization":       {text(append(slices.Clone(half[:1]), whole[1:]...)), 2, 2, `of organization "default", the export of "acme"`},
		"before the range":           {text(s.lines(`,"from":"2026-07-01T12:00:05.001Z"`, func(i int) bool { return i >= 5 })), 4, 4, "outside"},
		"after the range":            {text(s.lines(`,"to":"2026-07-01T12:00:05.000Z"`, func(i int) bool { return i <= 5 })), 7, 7, "outside"},
	} {
		t.Run(name, func(t *testing.T) {
			report := s.verify(row.content)
			require.NotNil(t, report.Problem)
			require.Contains(t, report.Problem.Error(), row.what)
			require.Equal(t, []int64{row.first, row.last}, []int64{report.Problem.FirstLine, report.Problem.LastLine}, report.Problem.What)
			require.False(t, report.Whole())
		})
	}
}

// What is hidden behind a hash is not claimed.
func TestHiddenEventsAreNotClaimed(t *testing.T) {
	s := newSample(t, 9)
	report := s.verify(text(s.lines("", func(i int) bool { return i != 4 })))
	require.Nil(t, report.Problem)
	require.False(t, report.Whole())
	require.Equal(t, int64(8), report.Events)
}

func TestCheckpointsKeptElsewhere(t *testing.T) {
	s, forked := newSample(t, 12), newSample(t, 12)
	whole := text(s.lines("", all))
	report := s.verify(whole, s.checkpoint(12), s.checkpoint(1), s.checkpoint(7))
	require.Nil(t, report.Problem)
	require.Equal(t, []int64{1, 7, 12}, report.Compared)

	// Events 0 to 3 and 8 to 11 are behind hashes: 2 is inside one, 4 is not.
	part := text(s.lines("", func(i int) bool { return i >= 4 && i < 8 }))
	report = s.verify(part, s.checkpoint(2), s.checkpoint(4), s.checkpoint(6), s.checkpoint(9), s.checkpoint(12))
	require.Nil(t, report.Problem)
	require.Equal(t, []int64{4, 6, 12}, report.Compared)
	require.Equal(t, []int64{2, 9}, report.Uncompared)

	small := newSample(t, 5)
	report = small.verify(text(small.lines("", all)), s.checkpoint(12))
	require.Nil(t, report.Problem)
	require.Equal(t, []int64{12}, report.Uncompared, "it covers more than the file")

	// The key signed another history.
	forked.events = append(slices.Clone(s.events[:5]), strings.Replace(s.events[5], "success", "failure", 1))
	report = s.verify(whole, s.checkpoint(3), forked.checkpoint(6), s.checkpoint(9))
	require.NotNil(t, report.Problem)
	require.Equal(t, []int64{5, 7}, []int64{report.Problem.FirstLine, report.Problem.LastLine})
	require.Contains(t, report.Problem.What, "rewritten")

	// They narrow down which line was changed.
	altered := strings.Replace(whole, s.events[7], strings.Replace(s.events[7], "success", "failure", 1), 1)
	report = s.verify(altered, s.checkpoint(6), s.checkpoint(9))
	require.Equal(t, []int64{8, 10}, []int64{report.Problem.FirstLine, report.Problem.LastLine})
	require.Contains(t, report.Problem.What, "changed")

	_, err := auditlog.VerifyExport(strings.NewReader(whole), auditlog.VerifyExportOptions{Verifier: s.verifier, Checkpoints: [][]byte{newSampleOf(t, 3, 2).checkpoint(3)}})
	require.ErrorContains(t, err, "not signed by this log's key")
}

// An export is read once and never held.
func TestALargeExportTakesLittleMemory(t *testing.T) {
	const size = 60_000
	s := newSample(t, 1)
	text := fmt.Sprintf("%s\n%d\n%s\n", s.signer.Name(), size, base64.StdEncoding.EncodeToString(make([]byte, 32)))
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	require.NoError(t, err)
	header, err := json.Marshal(map[string]any{"version": 1, "checkpoint": string(signed)})
	require.NoError(t, err)
	header = bytes.Replace(header, []byte(`{"checkpoint":`), []byte(`{"version":1,"checkpoint":`), 1)
	header = bytes.Replace(header, []byte(`,"version":1}`), []byte(`}`), 1)
	reader, writer := io.Pipe()
	go func() {
		_, err := fmt.Fprintf(writer, "{\"export\":%s}\n", header)
		for i := 0; i < size && err == nil; i++ {
			_, err = writer.Write([]byte(strings.Replace(s.events[0], `"sequence":0`, fmt.Sprintf(`"sequence":%d`, i), 1) + "\n"))
		}
		writer.CloseWithError(err)
	}()
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, peak := stats.HeapAlloc, uint64(0)
	report, err := auditlog.VerifyExport(reader, auditlog.VerifyExportOptions{Verifier: s.verifier, Progress: func(events int64) {
		if events%5_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
		}
	}})
	require.NoError(t, err)
	require.Equal(t, int64(size), report.Events)
	require.Equal(t, int64(size+1), report.Problem.LastLine, "the root is not this")
	require.Less(t, int64(peak)-int64(before), int64(1<<20))
}

// FuzzReadExport: no panic; no accepted file holds an event that was not signed.
func FuzzReadExport(f *testing.F) {
	s := newSample(f, 6)
	for _, lines := range [][]string{s.lines("", all), s.lines(`,"organizationId":"acme"`, odd), s.lines(`,"to":"2026-01-01T00:00:00.000Z"`, none)} {
		f.Add([]byte(text(lines)))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		report, err := auditlog.VerifyExport(bytes.NewReader(content), auditlog.VerifyExportOptions{Verifier: s.verifier})
		require.NoError(t, err)
		if report.Problem != nil {
			require.Positive(t, report.Problem.FirstLine)
			require.LessOrEqual(t, report.Problem.FirstLine, report.Problem.LastLine)
			return
		}
		lines := eventLines(content)
		require.Len(t, lines, int(report.Events))
		for _, line := range lines {
			require.Contains(t, s.events, line)
		}
	})
}
