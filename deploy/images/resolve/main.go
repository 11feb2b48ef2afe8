// Resolve prints as JSON what docker-compose.yml of the folder in its argument
// means with the present environment, and what images its Dockerfiles make.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sentryagent/agentidp/deploy/images"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "resolve:", err)
		os.Exit(1)
	}
}

func run(top string) error {
	project, err := images.Load(context.Background(), top, os.Environ(), nil)
	if err != nil {
		return err
	}
	built := map[string]images.Image{}
	for name, service := range project.Services {
		build := images.Build(project, service)
		if build == nil {
			continue
		}
		if built[name], err = images.Read(filepath.Join(build.Context, build.Dockerfile)); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"project": project, "images": built})
}
