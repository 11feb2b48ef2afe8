// Agentidp is the identity provider and its command line.
package main

import (
	"github.com/sentryagent/agentidp/idp/internal/cli"
	"github.com/sentryagent/agentidp/shared/command"
)

func main() { command.Main(cli.Run) }
