package agentidp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

// stage starts the built programs (make programs), and says where an agent of its
// own reads notes.
func stage(b *testing.B) (agentidp.Config, string) {
	b.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(b, err)
	programs := filepath.Join(root, ".cache", "programs")
	command := exec.CommandContext(context.WithoutCancel(b.Context()), filepath.Join(programs, "stage"), "-bin", programs)
	command.Dir, command.Stderr = root, os.Stderr
	in, err := command.StdinPipe()
	require.NoError(b, err)
	out, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start(), "make programs builds it")
	b.Cleanup(func() { // the end of its input ends it, and what it started
		require.NoError(b, in.Close())
		require.NoError(b, command.Wait())
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(b, err)
	var place struct{ IdP, Resource, AdminFile string }
	require.NoError(b, json.Unmarshal(line, &place))

	config, err := agentidp.FromLookup(func(name string) string {
		return map[string]string{"AGENTIDP_URL": place.IdP, "AGENTIDP_CREDENTIALS_FILE": place.AdminFile}[name]
	})
	require.NoError(b, err)
	admin, err := agentidp.NewClient(config)
	require.NoError(b, err)
	agent, err := admin.CreateAgent(b.Context(), agentidp.NewAgent{
		Email: "bench@example.com", AgentType: agentidp.AgentCustom, Version: "1.0.0", Owner: "sdk", DeploymentEnv: agentidp.EnvDevelopment,
		Capabilities: []string{"notes:read"},
	})
	require.NoError(b, err)
	credential, err := admin.CreateCredential(b.Context(), agent.AgentID, agentidp.NewCredential{})
	require.NoError(b, err)
	return agentidp.Config{URL: place.IdP, ClientID: credential.ClientID, ClientSecret: credential.ClientSecret, Resources: []string{place.Resource}}, place.Resource
}

// A thousand calls through the sidecar with a kept token, so many at a time.
func BenchmarkThousandCalls(b *testing.B) {
	config, resource := stage(b)
	source, err := config.TokenSource()
	require.NoError(b, err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 20
	client := &http.Client{Transport: &agentidp.Transport{Source: source, Base: transport}}
	call := func() error {
		response, err := client.Get(resource + "/notes")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	require.NoError(b, call(), "the token comes")
	for name, workers := range map[string]int{"one at a time": 1, "twenty at a time": 20} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var group sync.WaitGroup
				errs := make(chan error, 1000)
				for range workers {
					group.Go(func() {
						for range 1000 / workers {
							errs <- call()
						}
					})
				}
				group.Wait()
				close(errs)
				for err := range errs {
					require.NoError(b, err)
				}
			}
		})
	}
}
