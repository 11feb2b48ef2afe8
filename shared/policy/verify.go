package policy

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestResult is the outcome of one of a policy's unit tests.
type TestResult struct {
	Name     string // package.test_name
	Location string // file:line
	Duration time.Duration
	Failed   bool
	Why      string // of a failed one: the expression that did not hold, or the error
}

// Test runs the unit tests of a policy, in the order of their names. The error
// says that they could not be run, or not all of them: it does not compile, or
// the time was over. Failed tests are no error.
func Test(ctx context.Context, folder fs.FS, options Options) ([]TestResult, error) {
	allowed := capabilities()
	s, err := load(folder, allowed)
	if err != nil {
		return nil, err
	}
	s.sidecar = options.Sidecar
	txn, err := s.store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.compile(ctx, txn, allowed); err != nil {
		return nil, err
	}
	return s.test(ctx, txn, allowed, options.withDefaults())
}

// verify runs the unit tests (rules named test_…) that came with the policy.
// A policy without tests passes; a test that fails, errs or does not come to
// its end within the time does not. Returns how many passed.
func (s *source) verify(ctx context.Context, txn storage.Transaction, c *ast.Capabilities, o Options) (int, error) {
	results, err := s.test(ctx, txn, c, o)
	var failed []string
	for _, r := range results {
		if r.Failed {
			failed = append(failed, strings.TrimSuffix(r.Name+": "+r.Why, ": "))
		}
	}
	passed := len(results) - len(failed)
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d of %d policy tests failed: %s", len(failed), len(results), strings.Join(failed, "; "))
	}
	return passed, err
}

func (s *source) test(ctx context.Context, txn storage.Transaction, c *ast.Capabilities, o Options) ([]TestResult, error) {
	ctx, cancel := context.WithTimeout(ctx, o.TestTimeout)
	defer cancel()
	runner := tester.NewRunner().SetCompiler(s.compiler(ctx, txn, c)).SetStore(s.store).SetModules(s.modules).
		CapturePrintOutput(false).RaiseBuiltinErrors(true).SetTimeout(o.TestTimeout)
	ran, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("policy tests: %w", err)
	}
	var results []TestResult
	for one := range ran {
		if one.Skip { // named todo_test_…
			continue
		}
		r := TestResult{Name: one.Package + "." + one.Name, Duration: one.Duration, Failed: !one.Pass()}
		if one.Location != nil {
			r.Location = fmt.Sprintf("%s:%d", one.Location.File, one.Location.Row)
		}
		switch {
		case one.Error != nil:
			r.Why = one.Error.Error()
		case one.FailedAt != nil:
			r.Why = excerpt(one.FailedAt.Loc())
		}
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b TestResult) int { return strings.Compare(a.Name, b.Name) })
	// The runner leaves out, without a word, the tests that it had no time for.
	if err := ctx.Err(); err != nil {
		return results, fmt.Errorf("policy tests did not end: %w", err)
	}
	return results, nil
}
