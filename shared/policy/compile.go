package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// query is what a policy answers.
const query = "data.agentidp.authz.decision"

var errNoDecision = fmt.Errorf("%s is undefined", query)

// Beyond the builtins that OPA itself marks as nondeterministic: these read
// the clock when no time is given, and trace has no reader here.
var alsoRefused = []string{
	"crypto.x509.parse_and_verify_certificates",
	"crypto.x509.parse_and_verify_certificates_with_options",
	"trace",
}

// One call of these may work for minutes, and none looks whether the deadline
// has passed: paths through ten nodes that are all connected, a shift by
// billions of bits, a template with loops.
var unstoppable = []string{"bits.lsh", "graph.reachable_paths", "strings.render_template"}

// refused says why a policy may not use the builtin; "": it may.
func refused(b *ast.Builtin) string {
	switch {
	case b.IsNondeterministic() || slices.Contains(alsoRefused, b.Name):
		return "a decision may depend on input and data only"
	case slices.Contains(unstoppable, b.Name):
		return "it cannot be stopped at the deadline"
	}
	return ""
}

// capabilities is what a policy may use: nothing whose answer depends on
// anything but its arguments or that runs past every deadline, and no network,
// also not for remote schemas.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return refused(b) != "" })
	c.AllowNet = []string{}
	return c
}

// compiler starts a strict compiler. A rule that hides a data value, or the reverse, is an error.
func (s *source) compiler(ctx context.Context, txn storage.Transaction, c *ast.Capabilities) *ast.Compiler {
	return ast.NewCompiler().WithCapabilities(c).WithDefaultRegoVersion(ast.RegoV1).WithStrict(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, s.store, txn))
}

// compile compiles the policy without its tests.
func (s *source) compile(ctx context.Context, txn storage.Transaction, c *ast.Capabilities) (*ast.Compiler, error) {
	compiler := s.compiler(ctx, txn, c)
	modules := s.runtime()
	if compiler.Compile(modules); compiler.Failed() {
		return nil, errors.Join(append(refusals(modules), compiler.Errors)...)
	}
	if len(compiler.GetRulesExact(ast.MustParseRef(query))) == 0 {
		return nil, errNoDecision
	}
	return compiler, nil
}

// refusals explains "undefined function" for builtins that exist elsewhere.
func refusals(modules map[string]*ast.Module) []error {
	names := map[string]string{}
	for _, b := range ast.Builtins {
		names[b.Name] = refused(b)
	}
	var found []error
	for _, module := range modules {
		ast.WalkTerms(module, func(term *ast.Term) bool {
			ref, isRef := term.Value.(ast.Ref)
			if isRef && names[ref.String()] != "" {
				found = append(found, fmt.Errorf("%s: %s is refused: %s", term.Location, ref, names[ref.String()]))
			}
			return false
		})
	}
	slices.SortFunc(found, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return found
}
