// Grafana writes the dashboards of deploy/monitoring: what is on them stands in
// idp.go, fleet.go, audit.go and capacity.go. `go generate` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run .

func main() {
	if err := write("dashboards"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write makes one file of each dashboard.
func write(folder string) error {
	for _, d := range dashboards() {
		content, err := d.render()
		if err != nil {
			return fmt.Errorf("dashboard %s: %w", d.UID, err)
		}
		if err := os.WriteFile(filepath.Join(folder, d.UID+".json"), content, 0o644); err != nil { //nolint:gosec // for everybody to read
			return fmt.Errorf("dashboard %s: %w", d.UID, err)
		}
	}
	return nil
}

func dashboards() []dashboard { return []dashboard{idp(), fleet(), audit(), capacity()} }
