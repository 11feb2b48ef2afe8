package policy

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Explanation is a decision and how it came about.
type Explanation struct {
	Decision Decision
	Err      error // as Decide's
	Steps    []Step
	reads    map[string]ast.Ref // of input, by their text
}

// Step is one rule that was tried.
type Step struct {
	Depth    int    // 0: asked for by the query, else by a rule of the depth before
	Rule     string // agentidp.authz.decision
	Location string // file:line
	Held     bool
	Value    string // that it gave, when it held
	Stopped  string // the expression that did not hold, with its place; "" when it held
}

// explainTime bounds a traced evaluation, which is slower than a plain one.
const explainTime = 5 * time.Second

// Explain decides as Decide does for who understands no obligations, but
// without its deadline and index, and writes down every rule that was tried.
func (e *Engine) Explain(ctx context.Context, in Input) *Explanation {
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	slow := *e
	slow.timeout = explainTime
	t := &tracer{reads: map[string]ast.Ref{}, depth: map[uint64]int{}, step: map[uint64]int{}}
	if e.ask != nil {
		slow.ask = func() *topdown.Query { return e.ask().WithQueryTracer(t).WithIndexing(false) }
	}
	x := &Explanation{reads: t.reads}
	x.Decision, x.Err = slow.Decide(ctx, in)
	x.Steps = t.steps
	return x
}

// Reads reports whether a member of the input, such as "token.scope", or a part
// of it could have played a part in the decision: if not, the decision is the same whatever its value.
func (x *Explanation) Reads(member string) bool {
	path := strings.Split(member, ".")
	for ref := range maps.Values(x.reads) {
		if overlaps(ref[1:], path) {
			return true
		}
	}
	return false
}

// overlaps reports whether a reference below input may touch the member: one
// is part of the other, as far as the text tells.
func overlaps(ref ast.Ref, path []string) bool {
	for i := range min(len(ref), len(path)) {
		if name, isString := ref[i].Value.(ast.String); isString && string(name) != path[i] {
			return false
		}
	}
	return true
}

// tracer writes down rules, and all that is read of the input. It runs inside one evaluation.
type tracer struct {
	steps []Step
	reads map[string]ast.Ref
	depth map[uint64]int // of a query's rules
	step  map[uint64]int // of a query: its place in steps
}

var _ topdown.QueryTracer = (*tracer)(nil)

func (*tracer) Enabled() bool { return true }

func (*tracer) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (t *tracer) TraceEvent(event topdown.Event) {
	switch node := event.Node.(type) {
	case *ast.Rule:
		if event.Op == topdown.EnterOp {
			t.read(node.Head)
		}
		t.rule(&event, node)
	case ast.Body:
		if event.Op == topdown.EnterOp {
			t.within(event.QueryID, event.ParentID)
		}
	case *ast.Expr:
		if event.Op == topdown.EvalOp {
			t.read(node)
		}
		if event.Op == topdown.FailOp {
			if i, known := t.step[event.QueryID]; known && !t.steps[i].Held {
				t.steps[i].Stopped = fmt.Sprintf("%s  (%s)", excerpt(node.Loc()), place(node.Loc()))
			}
		}
	}
}

// within makes a query part of the rule that asks it.
func (t *tracer) within(query, parent uint64) {
	if depth, known := t.depth[parent]; known {
		t.depth[query] = depth
	} else {
		t.depth[query] = -1
	}
}

func (t *tracer) rule(event *topdown.Event, rule *ast.Rule) {
	switch event.Op { //nolint:exhaustive // the others tell nothing of a rule as a whole
	case topdown.EnterOp:
		t.within(event.QueryID, event.ParentID)
		t.depth[event.QueryID]++
		t.step[event.QueryID] = len(t.steps)
		t.steps = append(t.steps, Step{
			Depth: t.depth[event.QueryID], Rule: strings.TrimPrefix(rule.Module.Package.Path.String()+"."+rule.Head.Ref().String(), "data."), Location: place(rule.Loc()),
		})
	case topdown.ExitOp:
		if i, known := t.step[event.QueryID]; known {
			t.steps[i].Held, t.steps[i].Stopped = true, ""
			if value := rule.Head.Value; value != nil {
				t.steps[i].Value = clip(event.Plug(value).String())
			}
		}
	}
}

// read notes every reference to the input below a node, whether or not it comes to be evaluated.
func (t *tracer) read(node any) {
	ast.WalkRefs(node, func(ref ast.Ref) bool {
		if ref[0].Equal(ast.InputRootDocument) {
			t.reads[ref.String()] = ref
		}
		return false
	})
}

func place(l *ast.Location) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", l.File, l.Row)
}

// excerpt is the first line of the source text at a place.
func excerpt(l *ast.Location) string {
	if l == nil {
		return ""
	}
	line, more, _ := strings.Cut(string(l.Text), "\n")
	if strings.TrimSpace(more) != "" {
		line += " …"
	}
	return clip(line)
}

func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
