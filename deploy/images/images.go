// Package images reads docker-compose.yml and the Dockerfiles as Compose and
// BuildKit do. It is a module of its own: what those need stays out of the product's graph.
package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Load reads the Compose file in the folder top with the variables, profiles left out or in.
func Load(ctx context.Context, top string, variables, profiles []string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(top, "docker-compose.yml")},
		cli.WithWorkingDirectory(top), cli.WithEnv(variables), cli.WithProfiles(profiles), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

// Build is how the service's image is built, here or by another service; nil: it is somebody else's.
func Build(project *types.Project, service types.ServiceConfig) *types.BuildConfig {
	for _, other := range project.Services {
		if other.Image == service.Image && other.Build != nil {
			return other.Build
		}
	}
	return nil
}

// Copy is one COPY of an image.
type Copy struct {
	From, Chown, Chmod string
	Sources            []string
	To                 string
}

// Image is what the last stage of a Dockerfile makes.
type Image struct {
	Base, User                string
	Copies                    []Copy
	Entrypoint, Command, Test []string
	Environment, Labels       map[string]string
	Volumes                   []string
}

// Read reads the last stage of the Dockerfile.
func Read(path string) (image Image, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return image, err
	}
	parsed, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return image, err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return image, err
	}
	last := stages[len(stages)-1]
	image = Image{Base: last.BaseName, Environment: map[string]string{}, Labels: map[string]string{}}
	for _, command := range last.Commands {
		if err := image.add(command); err != nil {
			return image, fmt.Errorf("%s: %w", path, err)
		}
	}
	return image, nil
}

func (i *Image) add(command instructions.Command) error {
	switch c := command.(type) {
	case *instructions.CopyCommand:
		i.Copies = append(i.Copies, Copy{From: c.From, Chown: c.Chown, Chmod: c.Chmod, Sources: c.SourcePaths, To: c.DestPath})
	case *instructions.UserCommand:
		i.User = c.User
	case *instructions.EntrypointCommand:
		i.Entrypoint = c.CmdLine
	case *instructions.CmdCommand:
		i.Command = c.CmdLine
	case *instructions.HealthCheckCommand:
		i.Test = c.Health.Test
	case *instructions.VolumeCommand:
		i.Volumes = append(i.Volumes, c.Volumes...)
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			i.Environment[pair.Key] = pair.Value
		}
	case *instructions.LabelCommand:
		for _, pair := range c.Labels {
			i.Labels[pair.Key] = pair.Value
		}
	case *instructions.ArgCommand, *instructions.ExposeCommand:
	default: // what this cannot account for is not in an image that was checked
		return fmt.Errorf("%s in the last stage", command.Name())
	}
	return nil
}
