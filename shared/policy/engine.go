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
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Engine is one loaded policy. It is immutable and safe for concurrent use.
type Engine struct {
	ask      func() *topdown.Query // a fresh one for each evaluation
	terms    *terms
	decided  map[*ast.Term]Decision // what the rules say in so many words
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
	ask, err := asking(compiler, source.store, txn)
	if err != nil {
		return nil, err
	}
	return &Engine{
		ask:      ask,
		terms:    &terms{},
		decided:  constants(compiler),
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
	answers := 0
	err = e.ask().WithInput(ast.NewTerm(e.terms.input(&in, &e.use))).WithCancel(stop).Iter(ctx, func(result topdown.QueryResult) (err error) {
		answers++
		decision, err = e.read(result[bound])
		return err
	})
	switch {
	case err != nil && stop.stopped:
		return Unavailable(ReasonTimeout, err)
	case err != nil:
		return Unavailable(ReasonError, err)
	case answers != 1:
		return Unavailable(ReasonError, errNoDecision)
	}
	if name := decision.misunderstood(understood); name != "" {
		return Unavailable(ReasonError, fmt.Errorf("obligation %q is not understood here", name))
	}
	return decision, nil
}
