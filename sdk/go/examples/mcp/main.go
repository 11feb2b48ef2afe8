// Mcp lists the tools of an MCP server (streamable HTTP) behind a sidecar, as the
// agent of the environment. An MCP library takes the same http.Client.
//
//	AGENTIDP_URL=… AGENTIDP_CLIENT_ID=… AGENTIDP_CLIENT_SECRET=… mcp http://127.0.0.1:8081 /mcp
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: mcp RESOURCE PATH")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, resource, path string) error {
	config, err := agentidp.FromEnvironment()
	if err != nil {
		return err
	}
	source, err := config.WithResources(resource).TokenSource()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	session := &session{client: source.Client(), url: resource + path}
	initialize := `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"example","version":"1.0.0"}}`
	if err := session.call(ctx, "initialize", initialize, nil); err != nil {
		return err
	}
	var list struct {
		Tools []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"tools"`
	}
	if err := session.call(ctx, "tools/list", "{}", &list); err != nil {
		return err
	}
	for _, tool := range list.Tools {
		fmt.Fprintf(out, "%s: %s\n", tool.Name, tool.Description)
	}
	return nil
}

// session is one of streamable HTTP, of as much of it as answers in JSON need.
type session struct {
	client *http.Client
	url    string
	id     string // of the server, after initialize; may stay empty
	calls  int
}

func (s *session) call(ctx context.Context, method, params string, result any) error {
	s.calls++
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, s.calls, method, params)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader([]byte(message)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	if s.id != "" {
		request.Header.Set("Mcp-Session-Id", s.id)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read as far as wanted
	if id := response.Header.Get("Mcp-Session-Id"); id != "" {
		s.id = id
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != "application/json" || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d, %q", method, response.StatusCode, response.Header.Get("Content-Type"))
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != nil || result == nil {
		if answer.Error != nil {
			return fmt.Errorf("%s: %s", method, answer.Error)
		}
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}
