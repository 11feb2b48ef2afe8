// Package notes is a small real API to protect: notes with storage of their
// own. It knows nothing of tokens; it trusts the identity headers that only
// the sidecar in front of it can set.
package notes

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const maxNote = 64 << 10

// Note is one note.
type Note struct {
	ID     int       `json:"id"`
	Text   string    `json:"text"`
	Author string    `json:"author"` // X-Agent-Id of who wrote it
	At     time.Time `json:"at"`
}

// Store keeps notes in an append-only file of JSON lines.
type Store struct {
	mu    sync.Mutex // guards both
	file  *os.File
	notes []Note
	calls atomic.Int64
}

// Open reads the file at path, or makes it.
func Open(path string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open notes: %w", err)
	}
	s := &Store{file: file}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 2*maxNote)
	for lines.Scan() {
		var n Note
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			return nil, errors.Join(fmt.Errorf("read notes: %w", err), file.Close())
		}
		s.notes = append(s.notes, n)
	}
	if err := lines.Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("read notes: %w", err), file.Close())
	}
	return s, nil
}

// Close ends the store.
func (s *Store) Close() error { return s.file.Close() }

func (s *Store) add(author, text string) (Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Note{ID: len(s.notes) + 1, Text: text, Author: author, At: time.Now().UTC()}
	line, err := json.Marshal(n)
	if err != nil {
		return Note{}, fmt.Errorf("encode note: %w", err)
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return Note{}, fmt.Errorf("write note: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return Note{}, fmt.Errorf("write note: %w", err)
	}
	s.notes = append(s.notes, n)
	return n, nil
}

func (s *Store) list() []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Note{}, s.notes...)
}

// CallsHeader carries the number of requests the API has seen, this one included.
const CallsHeader = "Notes-Calls"

// Handler serves GET /notes, POST /notes, GET /notes/{id} and GET /healthz.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"caller": r.Header.Get("X-Agent-Id"), "notes": s.list()})
	})
	mux.HandleFunc("GET /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		all := s.list()
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id < 1 || id > len(all) {
			answer(w, http.StatusNotFound, map[string]string{"error": "no such note"})
			return
		}
		answer(w, http.StatusOK, all[id-1])
	})
	mux.HandleFunc("POST /notes", s.post)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(CallsHeader, strconv.FormatInt(s.calls.Add(1), 10))
		mux.ServeHTTP(w, r)
	})
}

func (s *Store) post(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Text string `json:"text"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNote))
	if err != nil || json.Unmarshal(body, &in) != nil || in.Text == "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": `send {"text": "…"}`})
		return
	}
	n, err := s.add(r.Header.Get("X-Agent-Id"), in.Text)
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": "the note could not be kept"})
		return
	}
	answer(w, http.StatusCreated, n)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the client left: nobody to tell
}
