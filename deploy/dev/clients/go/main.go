// Command mcp is an MCP server with three tools, or a client that lists and
// calls them: mcp server PORT PATH, or mcp client URL TOKEN, which prints what
// happened as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type text struct {
	Text string `json:"text"`
}

type pair struct {
	A int `json:"a"`
	B int `json:"b"`
}

func answer(s string) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}, nil, nil
}

func serve(port, path string) error {
	server := mcp.NewServer(&mcp.Implementation{Name: "tools", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Gives the text back."},
		func(_ context.Context, _ *mcp.CallToolRequest, in text) (*mcp.CallToolResult, any, error) {
			return answer(in.Text)
		})
	mcp.AddTool(server, &mcp.Tool{Name: "add", Description: "Adds two numbers."},
		func(_ context.Context, _ *mcp.CallToolRequest, in pair) (*mcp.CallToolResult, any, error) {
			return answer(fmt.Sprint(in.A + in.B))
		})
	mcp.AddTool(server, &mcp.Tool{Name: "delete_all", Description: "Deletes everything."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return answer("deleted")
		})
	mux := http.NewServeMux()
	mux.Handle(path, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	listener := &http.Server{Addr: "127.0.0.1:" + port, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return listener.ListenAndServe()
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func attempt(ctx context.Context, session *mcp.ClientSession, name string, arguments map[string]any) map[string]any {
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	var all strings.Builder
	for _, part := range result.Content {
		if t, ok := part.(*mcp.TextContent); ok {
			all.WriteString(t.Text)
		}
	}
	return map[string]any{"text": all.String(), "isError": result.IsError}
}

func use(url, token string) error {
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: bearer(token)}}, nil)
	if err != nil {
		return err
	}
	listed, err := session.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	tools := make([]string, 0, len(listed.Tools))
	for _, tool := range listed.Tools {
		tools = append(tools, tool.Name)
	}
	slices.Sort(tools)
	said := map[string]any{
		"tools": tools, "echo": attempt(ctx, session, "echo", map[string]any{"text": "hello"}),
		"refused": attempt(ctx, session, "delete_all", map[string]any{}),
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return err
	}
	return session.Close()
}

func main() {
	err := fmt.Errorf("usage: mcp server PORT PATH | mcp client URL TOKEN")
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "server":
		err = serve(args[1], args[2])
	case len(args) == 3 && args[0] == "client":
		err = use(args[1], args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
