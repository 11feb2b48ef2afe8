package registry

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sentryagent/agentidp/shared/token"
)

// The bounds of an import's file.
const (
	maxImport      = 64 << 20 // bytes
	maxImportLines = 100_000
	maxImportLine  = 4 << 10 // bytes of an NDJSON line
)

// ReadImport reads the file of an import: NDJSON with the members clientId,
// agentId, secretHash and, optionally, expiresAt; or CSV whose first line names
// these columns. Which one it is the first byte tells: an object begins with a
// brace. Empty lines are skipped. The error is BadLines for what cannot be read.
func ReadImport(r io.Reader) ([]ImportLine, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("read the import: %w", err)
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if len(content) > maxImport {
		return nil, fmt.Errorf("the import is longer than %d bytes", maxImport)
	}
	read := readCSV
	if bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte("{")) {
		read = readNDJSON
	}
	lines, bad, err := read(content)
	switch {
	case err != nil:
		return nil, err
	case bad != nil:
		return nil, bad
	case len(lines) == 0:
		return nil, errors.New("the import has no line")
	case len(lines) > maxImportLines:
		return nil, fmt.Errorf("the import has more than %d lines", maxImportLines)
	}
	return lines, nil
}

func readNDJSON(content []byte) (lines []ImportLine, bad BadLines, err error) {
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(nil, len(content)+1)
	for number := 1; scanner.Scan(); number++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		line := ImportLine{Number: number}
		if len(text) > maxImportLine || !line.read(text) {
			bad = append(bad, BadLine{number, "line", "must be an object of the strings clientId, agentId, secretHash and expiresAt"})
			continue
		}
		lines = append(lines, line)
	}
	return lines, bad, scanner.Err()
}

// read takes the members by their exact names, from an object that all readers agree on.
func (l *ImportLine) read(text []byte) bool {
	members, strings := map[string]*string{"clientId": &l.ClientID, "agentId": &l.AgentID, "secretHash": &l.SecretHash, "expiresAt": &l.ExpiresAt}, true
	err := token.ReadObject(text, func(name, value []byte) {
		member := members[string(name)]
		strings = strings && member != nil && value[0] == '"' && json.Unmarshal(value, member) == nil
	})
	return err == nil && strings
}

var importColumns = []string{"clientId", "agentId", "secretHash", "expiresAt"}

func readCSV(content []byte) (lines []ImportLine, bad BadLines, err error) {
	reader := csv.NewReader(bytes.NewReader(content))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, nil
	}
	if err != nil || !isImportHeader(header) {
		return nil, BadLines{{1, "line", "must name the columns clientId,agentId,secretHash and, optionally, expiresAt"}}, nil
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return lines, bad, nil
		}
		if broken := (*csv.ParseError)(nil); errors.As(err, &broken) {
			return lines, append(bad, BadLine{broken.StartLine, "line", "must be CSV"}), nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the import: %w", err)
		}
		number, _ := reader.FieldPos(0)
		if len(record) != len(header) {
			bad = append(bad, BadLine{number, "line", fmt.Sprintf("must have %d columns", len(header))})
			continue
		}
		column := func(name string) string {
			if at := slices.Index(header, name); at >= 0 {
				return record[at]
			}
			return ""
		}
		lines = append(lines, ImportLine{
			Number: number, ClientID: column("clientId"), AgentID: column("agentId"), SecretHash: column("secretHash"), ExpiresAt: column("expiresAt"),
		})
	}
}

// isImportHeader demands each known column once, the optional one aside.
func isImportHeader(header []string) bool {
	for i, name := range header {
		if !slices.Contains(importColumns, name) || slices.Contains(header[:i], name) {
			return false
		}
	}
	return !slices.ContainsFunc(importColumns[:3], func(name string) bool { return !slices.Contains(header, name) })
}
