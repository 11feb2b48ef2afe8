// Package apidocs carries the page about the API inside the binary: Swagger
// UI's files as npm has them, and what starts it. README.md says how.
package apidocs

import (
	"embed"
	"io/fs"
)

//go:embed page
var page embed.FS

// Files are index.html and what it loads. A link that begins with "./" in
// index.html is relative to where the page is mounted.
func Files() fs.FS {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the name above is no valid path
	}
	return files
}
