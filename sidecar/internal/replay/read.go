package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// Read visits the records at path: NDJSON, plain, gzip or zstd, or the folder
// of a spool, or a sidecar's data folder. unreadable are lines, and segments of
// a spool, that hold no record.
func Read(path string, visit func(decision.Record)) (unreadable int, err error) {
	line := func(line []byte) error {
		if record, err := decision.Parse(line); err == nil {
			visit(record)
		} else {
			unreadable++
		}
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		err := readLines(path, line)
		return unreadable, err
	}
	if inner := filepath.Join(path, "spool"); isFolder(inner) {
		path = inner
	}
	damaged, err := spool.ReadDir(path, line)
	return unreadable + damaged, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func readLines(path string, visit func(line []byte) error) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	plain, err := decompressed(bufio.NewReader(file))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, decision.MaxLine+2)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := visit(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// decompressed looks at the first bytes.
func decompressed(r *bufio.Reader) (io.Reader, error) {
	head, _ := r.Peek(4) // shorter: neither
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}):
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	}
	return r, nil
}

// ReadScopes reads which scope the tokens of each agent have: a YAML or JSON map
// of agent ids to lists, or the answer of GET /api/v1/agents, whose capabilities
// are taken for the scope.
func ReadScopes(path string) (map[string][]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var listed struct {
		Data []struct {
			AgentID      string   `yaml:"agentId"`
			Capabilities []string `yaml:"capabilities"`
		} `yaml:"data"`
	}
	if err := yaml.Unmarshal(content, &listed); err == nil && listed.Data != nil {
		scopes := map[string][]string{}
		for _, agent := range listed.Data {
			scopes[agent.AgentID] = agent.Capabilities
		}
		return scopes, nil
	}
	var scopes map[string][]string
	if err := yaml.Unmarshal(content, &scopes); err != nil {
		return nil, fmt.Errorf("%s: neither a map of agent ids to scopes nor a list of agents: %w", path, err)
	}
	return scopes, nil
}
