package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	watchEvery = time.Second
	watchBytes = 4 << 20 // of a file that are looked at: more does not load
	watchMost  = 1_000   // files of a folder
)

// content is a digest of files, or of why they could not be read.
type content [sha256.Size]byte

// watched is something that is read again when it changes.
type watched struct {
	look   func() content
	reload func(context.Context)
	loaded content // what was there before it was read last
	seen   content // when it was looked at last
}

// changed reports whether there is something new to read: it differs from what
// was read, and is no longer being written.
func (w *watched) changed() bool {
	now := w.look()
	stable := now == w.seen
	w.seen = now
	return stable && now != w.loaded
}

// read reads it, and remembers what was there before: a change meanwhile is another one.
func (w *watched) read(ctx context.Context) {
	w.loaded = w.look()
	w.seen = w.loaded
	w.reload(ctx)
}

// watchFiles begins with what New has read.
func (a *App) watchFiles() {
	a.watched = []*watched{{look: func() content { return digestFile(a.cfg.Routes) }, reload: a.reloadRoutes}}
	if a.cfg.PolicyDir != "" {
		a.watched = append(a.watched, &watched{look: func() content { return digestFolder(a.cfg.PolicyDir) }, reload: a.reloadPolicy})
	}
	for _, w := range a.watched {
		w.loaded = w.look()
	}
}

// watch reads routes and policy again when they have changed, until ctx ends.
func (a *App) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			a.readChanged(ctx)
		}
	}
}

func (a *App) readChanged(ctx context.Context) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	for _, w := range a.watched {
		if w.changed() {
			w.read(ctx)
		}
	}
}

func digestFile(path string) (c content) {
	h := sha256.New()
	err := addFile(h, path)
	if err != nil {
		fmt.Fprint(h, err)
	}
	return content(h.Sum(nil))
}

// digestFolder is of names and contents. Hidden entries do not count, as in a policy.
func digestFolder(path string) content {
	h := sha256.New()
	entries, err := os.ReadDir(path)
	if err != nil {
		fmt.Fprint(h, err)
	}
	for _, entry := range entries[:min(len(entries), watchMost)] {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		fmt.Fprintf(h, "%q", entry.Name())
		if err := addFile(h, filepath.Join(path, entry.Name())); err != nil {
			fmt.Fprint(h, err)
		}
	}
	return content(h.Sum(nil))
}

// addFile writes the file's content into h. What is no regular file is nobody's to open.
func addFile(h io.Writer, path string) (err error) {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrInvalid
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := io.Copy(h, io.LimitReader(file, watchBytes))
	fmt.Fprintf(h, "%d", size)
	return err
}
