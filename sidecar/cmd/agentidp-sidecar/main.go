// Agentidp-sidecar is the reverse proxy in front of a protected API.
package main

import (
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/sidecar/internal/cli"
)

func main() { command.Main(cli.Run) }
