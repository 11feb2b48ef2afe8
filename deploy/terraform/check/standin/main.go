// Standin is a provider that has the arguments of a real one and does nothing: it
// serves the facts of the provider that it is named after, so that OpenTofu itself
// validates the modules, and plans and applies them with mocked answers, where the
// real providers cannot be had.
//
//	TERRAFORM_FACTS=…/facts  terraform-provider-aws_v6.25.0
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

func main() {
	if err := run(os.Args[0], os.Getenv("TERRAFORM_FACTS")); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func run(program, facts string) error {
	name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(program), "terraform-provider-"), "_")
	all, err := schema.Read(facts)
	if err != nil {
		return err
	}
	known := all[name]
	if known == nil {
		return fmt.Errorf("no facts of the provider %q", name)
	}
	return tf6server.Serve("registry.opentofu.org/"+known.Source, func() tfprotov6.ProviderServer { return server{known: known} })
}
