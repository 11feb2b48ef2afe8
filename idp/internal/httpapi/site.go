package httpapi

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/sentryagent/agentidp/shared/httpx"
)

const (
	indexFile    = "index.html"
	assetsFolder = "assets/" // names below it carry a hash of the content
)

var (
	pageOpener      = httpx.NewField("Cross-Origin-Opener-Policy", "same-origin")
	pagePermissions = httpx.NewField("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	varyEncoding    = httpx.NewField("Vary", "Accept-Encoding")
)

// site is pages that the binary holds.
type site struct {
	at     string                   // its path, below the issuer
	policy httpx.Field              // what its pages may do: Content-Security-Policy
	assets map[string]func() *asset // by their path below at, each read when it is first asked for; nil: the site is turned off
}

// asset is one file of a site.
type asset struct {
	document
	immutable bool
	zipped    func() []byte // gzip, made once, when it is first asked for; nil: not worth it
}

// newSite lists the files; nil: the site is turned off. base is where the API is
// mounted. It panics, as reading one would, when they cannot be read: they are in
// the binary. They are read late because there they take no memory of ours, and
// many an IdP is never looked at.
func newSite(at string, policy httpx.Field, files fs.FS, base string) site {
	s := site{at: at, policy: policy}
	if files == nil {
		return s
	}
	s.assets = map[string]func() *asset{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		s.assets[name] = sync.OnceValue(func() *asset {
			content, err := fs.ReadFile(files, name)
			if err != nil {
				panic(fmt.Errorf("%s/%s: %w", at, name, err))
			}
			if name == indexFile {
				content = bytes.ReplaceAll(content, []byte(`="./`), []byte(`="`+html.EscapeString(base+at)+`/`))
			}
			return newAsset(name, content)
		})
		return nil
	})
	if err == nil && s.assets[indexFile] == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		panic(fmt.Errorf("%s: %w", at, err))
	}
	return s
}

func newAsset(name string, content []byte) *asset {
	media, known := assetMedia[path.Ext(name)]
	if !known {
		media = mime.TypeByExtension(path.Ext(name))
	}
	a := &asset{document: newDocument(media, content), immutable: strings.HasPrefix(name, assetsFolder)}
	if strings.HasPrefix(media, "text/") || strings.HasPrefix(media, "image/svg") {
		a.zipped = sync.OnceValue(func() []byte { return zip(content) })
	}
	return a
}

// assetMedia comes first: the system's own table, which is large, may say otherwise.
var assetMedia = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".txt": "text/plain; charset=utf-8", "": "text/plain; charset=utf-8",
}

// zip cannot fail: a buffer takes all.
func zip(content []byte) []byte {
	var buffer bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
	_, _ = w.Write(content)
	_ = w.Close()
	return buffer.Bytes()
}

// file is what a path of the site names, without the slash before it; nil: nothing.
func (s *site) file(path string) (name string, found *asset) {
	name = strings.TrimPrefix(strings.TrimPrefix(path, s.at), "/")
	if read := s.assets[name]; read != nil {
		found = read()
	}
	return name, found
}

// index is the site's page; nil: the site is turned off.
func (s *site) index() *asset {
	_, found := s.file(indexFile)
	return found
}

// serve answers with a file of the site; nil is 404.
func (s *site) serve(c *call, f *asset) error {
	if f == nil {
		return noSuchPath()
	}
	header := &c.http.Response.Header
	s.policy.Set(header)
	pageOpener.Set(header)
	pagePermissions.Set(header)
	body, etag := f.body, f.etag
	if f.zipped != nil {
		varyEncoding.Set(header)
		if c.http.Request.Header.HasAcceptEncoding("gzip") {
			body, etag = f.zipped(), strings.TrimSuffix(etag, `"`)+`-gzip"`
		}
	}
	c.set("Cache-Control", "no-cache") // kept, and asked about every time
	if f.immutable {
		c.set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if c.unchanged(etag) {
		return nil
	}
	if etag != f.etag {
		c.set("Content-Encoding", "gzip")
	}
	c.write(http.StatusOK, f.media, body)
	return nil
}
