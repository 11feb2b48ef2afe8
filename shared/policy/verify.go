package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
)

// verify runs the unit tests (rules named test_…) that came with the policy.
// A policy without tests passes; a test that fails, errs or does not come to
// its end within the time does not. Returns how many passed.
func (s *source) verify(ctx context.Context, txn storage.Transaction, c *ast.Capabilities, o Options) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, o.TestTimeout)
	defer cancel()
	runner := tester.NewRunner().SetCompiler(s.compiler(ctx, txn, c)).SetStore(s.store).SetModules(s.modules).
		CapturePrintOutput(false).RaiseBuiltinErrors(true).SetTimeout(o.TestTimeout)
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		return 0, fmt.Errorf("policy tests: %w", err)
	}
	passed := 0
	var failed []string
	for result := range results {
		switch {
		case result.Pass():
			passed++
		case result.Error != nil:
			failed = append(failed, fmt.Sprintf("%s.%s: %v", result.Package, result.Name, result.Error))
		case result.Fail:
			failed = append(failed, fmt.Sprintf("%s.%s", result.Package, result.Name))
		}
	}
	// The runner leaves out, without a word, the tests that it had no time for.
	if err := ctx.Err(); err != nil {
		return passed, fmt.Errorf("policy tests did not end: %w", err)
	}
	if len(failed) > 0 {
		slices.Sort(failed)
		return passed, fmt.Errorf("%d of %d policy tests failed: %s", len(failed), passed+len(failed), strings.Join(failed, "; "))
	}
	return passed, nil
}
