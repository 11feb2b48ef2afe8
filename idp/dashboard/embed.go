// Package dashboard carries the web dashboard inside the binary: the assets
// that Vite built from the source beside it. README.md says how.
package dashboard

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var built embed.FS

// Files are index.html, what it loads below assets, and the icon. A link that
// begins with "./" in index.html is relative to where the dashboard is mounted.
func Files() fs.FS {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		panic(err) // the name above is no valid path
	}
	return files
}
