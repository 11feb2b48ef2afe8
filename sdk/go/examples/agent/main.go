// Agent calls a protected API as an agent does: with the credential of its
// environment, and a token that is kept fresh.
//
//	AGENTIDP_URL=… AGENTIDP_CLIENT_ID=… AGENTIDP_CLIENT_SECRET=… agent http://127.0.0.1:8081 /notes
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: agent RESOURCE PATH")
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, resource+path, nil) //nolint:gosec // G704: of the command line, as it should be
	if err != nil {
		return err
	}
	response, err := source.Client().Do(request) //nolint:gosec // G704: the same
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	fmt.Fprintln(out, response.StatusCode)
	_, err = io.Copy(out, response.Body)
	return err
}
