package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// image is the server for machines that have Docker and no PostgreSQL. It
// serves databases to tests; those that hurt a server need the programs.
const image = "postgres:17"

// fetching bounds the start of a container, whose image may have to be fetched first.
const fetching = 5 * time.Minute

// container starts a server in Docker and returns the address of a database on
// it. The container goes when alive is closed, with this process at the latest.
func container() (address string, alive *os.File, err error) {
	name := "agentidp-postgres-" + strings.ToLower(rand.Text())
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", nil, err
	}
	defer reader.Close()
	watchman := exec.Command("sh", "-c", `cat >/dev/null; docker rm --force --volumes "$0" >/dev/null`, name)
	watchman.Stdin = reader
	watchman.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is not for it
	if err := watchman.Start(); err != nil {
		return "", nil, errors.Join(err, writer.Close())
	}
	ctx, done := context.WithTimeout(context.Background(), fetching)
	defer done()
	if _, err := docker(ctx, "run", "--detach", "--name", name, "--publish", "127.0.0.1::5432", "--env", "POSTGRES_HOST_AUTH_METHOD=trust", image); err != nil {
		return "", nil, errors.Join(err, writer.Close())
	}
	published, err := docker(ctx, "port", name, "5432")
	if err != nil {
		return "", nil, errors.Join(err, writer.Close())
	}
	address = "postgres://postgres@" + strings.TrimSpace(published) + "/postgres?sslmode=disable"
	if err := answers(ctx, address); err != nil {
		return "", nil, errors.Join(fmt.Errorf("container %s: %w", image, err), writer.Close())
	}
	return address, writer, nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	output, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", args[0], err, output)
	}
	return string(output), nil
}

// answers waits for the server to.
func answers(ctx context.Context, address string) error {
	for {
		err := run(ctx, address, "SELECT 1")
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
