// Check holds Terraform files against the language and against what their
// providers take, without Terraform, its providers or an account:
//
//	check -root ..                       says what is wrong, and ends with 1
//	check -root .. -extract PACKAGES     writes facts/*.json for the types in use, out of npm packages in a folder
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sentryagent/agentidp/deploy/terraform/check/extract"
	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

func main() {
	root := flag.String("root", "..", "folder of the modules and of facts")
	packages := flag.String("extract", "", "folder of the npm packages to take facts from")
	flag.Parse()
	if err := run(os.Stdout, *root, *packages); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, root, packages string) error {
	if packages != "" {
		used, err := usedTypes(root)
		if err != nil {
			return err
		}
		return extract.Run(filepath.Join(root, "facts"), packages, used)
	}
	known, err := schema.Read(filepath.Join(root, "facts"))
	if err != nil {
		return err
	}
	list, modules, err := check(root, known)
	if err != nil {
		return err
	}
	for _, f := range list {
		if _, err := fmt.Fprintln(out, f); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		return fmt.Errorf("%d findings in %d modules", len(list), modules)
	}
	_, err = fmt.Fprintf(out, "%d modules, nothing found\n", modules)
	return err
}

// check returns what is wrong below root, and how many modules were held.
func check(root string, known schema.Providers) ([]finding, int, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, 0, err
	}
	sources, err := readTree(root)
	if err != nil {
		return nil, 0, err
	}
	found := &findings{root: root}
	t := &tree{facts: known, modules: group(parse(sources, found), found), scopes: map[string]*scope{}, found: found}
	for _, dir := range sortedKeys(t.modules) {
		if s := t.scope(dir); s != nil {
			s.module()
		}
	}
	return found.sorted(), len(t.modules), nil
}
