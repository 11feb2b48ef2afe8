package policy

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// bound is what the query binds the decision to.
const bound = ast.Var("answer")

// asking compiles the query and returns what makes an evaluation of it. Package
// rego would do the same and wrap the answer in a result set of its own: a
// fifth of what a small policy allocates. Indexing and early exit are on.
func asking(compiler *ast.Compiler, store storage.Store, txn storage.Transaction) (func() *topdown.Query, error) {
	body, err := ast.ParseBodyWithOpts(fmt.Sprintf("%s = %s", bound, query), ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, err
	}
	queryCompiler := compiler.QueryCompiler()
	compiled, err := queryCompiler.Compile(body)
	if err != nil {
		return nil, err
	}
	quiet := metrics.NoOp()
	return func() *topdown.Query {
		return topdown.NewQuery(compiled).WithQueryCompiler(queryCompiler).WithCompiler(compiler).WithStore(store).WithTransaction(txn).
			WithMetrics(quiet).WithStrictBuiltinErrors(true)
	}, nil
}

// constants are the decisions that rules give word by word: they are read once.
// OPA answers with the very term that stands in the rule.
func constants(compiler *ast.Compiler) map[*ast.Term]Decision {
	found := map[*ast.Term]Decision{}
	for _, rule := range compiler.GetRulesExact(ast.MustParseRef(query)) {
		for ; rule != nil; rule = rule.Else {
			if value := rule.Head.Value; value != nil && value.IsGround() {
				if decision, err := parseDecision(value); err == nil {
					found[value] = decision
				}
			}
		}
	}
	return found
}

// read is the decision that a term says; a term of a rule's own was read before.
func (e *Engine) read(term *ast.Term) (Decision, error) {
	if decision, known := e.decided[term]; known {
		return decision, nil
	}
	return parseDecision(term)
}
