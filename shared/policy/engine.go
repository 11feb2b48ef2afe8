package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Engine is one loaded policy. It is immutable and safe for concurrent use.
type Engine struct {
	prepared rego.PreparedEvalQuery
	options  []rego.EvalOption // those that every evaluation shares
	timeout  time.Duration
	revision string
	source   *source
	use      InputUse
	tests    int
	missing  bool // there is none yet: every decision is ReasonMissing
}

// New loads, compiles and tests a policy: *.rego and at most one of data.yaml,
// data.yml and data.json in one flat folder, at most 4 MiB. A policy that uses
// the clock, randomness or the network is refused, and so is one whose own
// unit tests (*_test.rego) do not all pass.
func New(ctx context.Context, folder fs.FS, options Options) (*Engine, error) {
	options = options.withDefaults()
	allowed := capabilities()
	source, err := load(folder, allowed)
	if err != nil {
		return nil, err
	}
	source.sidecar = options.Sidecar
	// One read transaction serves every evaluation: nothing writes the store again.
	txn, err := source.store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	compiler, err := source.compile(ctx, txn, allowed)
	if err != nil {
		return nil, err
	}
	tests, err := source.verify(ctx, txn, allowed, options)
	if err != nil {
		return nil, err
	}
	prepared, err := rego.New(rego.Query(query), rego.Compiler(compiler), rego.Store(source.store), rego.Transaction(txn),
		rego.Capabilities(allowed), rego.StrictBuiltinErrors(true), rego.GenerateJSON(generate)).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	return &Engine{
		prepared: prepared,
		options:  []rego.EvalOption{rego.EvalTransaction(txn), rego.EvalMetrics(metrics.NoOp())},
		timeout:  options.Timeout,
		revision: source.revision,
		source:   source,
		use:      uses(compiler.Modules),
		tests:    tests,
	}, nil
}

var errMissing = errors.New("no policy has been loaded")

// missing is the engine before there is one.
func missing() *Engine {
	return &Engine{missing: true, source: &source{data: ast.NewObject()}, use: everything}
}

// generate turns the result into a Decision while OPA still holds it.
func generate(term *ast.Term, _ *rego.EvalContext) (any, error) { return parseDecision(term) }

// Revision identifies the policy: 32 hexadecimal digits over its files.
func (e *Engine) Revision() string { return e.revision }

// Uses says which members of input.request decisions can depend on.
func (e *Engine) Uses() InputUse { return e.use }

// Tests is how many of the policy's own unit tests passed at load.
func (e *Engine) Tests() int { return e.tests }

// Files are what the policy was loaded from, sorted by name: read only.
func (e *Engine) Files() []File { return e.source.files }

// Data is the data document as JSON.
func (e *Engine) Data() ([]byte, error) {
	value, err := ast.JSON(e.source.data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// Decide evaluates the policy. understood names the obligations that the
// caller will see to; a permission with any other is a denial. An error comes
// with a denial of the same reason: ReasonTimeout past the deadline or when ctx
// ends, ReasonMissing of a holder's engine before its first policy, ReasonError
// for everything else that is not a well-formed decision.
func (e *Engine) Decide(ctx context.Context, in Input, understood ...string) (decision Decision, err error) {
	defer func() { decision.Revision = e.revision }()
	defer func() {
		if fault := recover(); fault != nil {
			decision, err = Unavailable(ReasonError, fmt.Errorf("policy evaluation panicked: %v\n%s", fault, debug.Stack()))
		}
	}()
	if e.missing {
		return Unavailable(ReasonMissing, errMissing)
	}
	stop := &stop{ctx: ctx, start: time.Now(), timeout: e.timeout}
	timer := time.AfterFunc(e.timeout, stop.Cancel)
	defer timer.Stop()

	options := make([]rego.EvalOption, 0, 4)
	options = append(options, e.options...)
	options = append(options, rego.EvalParsedInput(in.value()), rego.EvalExternalCancel(stop))
	results, err := e.prepared.Eval(ctx, options...)
	switch {
	case err != nil && stop.stopped:
		return Unavailable(ReasonTimeout, err)
	case err != nil:
		return Unavailable(ReasonError, err)
	case len(results) != 1:
		return Unavailable(ReasonError, errNoDecision)
	}
	decision = results[0].Expressions[0].Value.(Decision) // what generate made; a panic is a denial
	if name := decision.misunderstood(understood); name != "" {
		return Unavailable(ReasonError, fmt.Errorf("obligation %q is not understood here", name))
	}
	return decision, nil
}
