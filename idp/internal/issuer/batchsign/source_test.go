package batchsign

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// secretFiles handle digits and bytes of keys in Go. Loops and places are ints
// there, and digits and bytes have the types below, so that types tell secrets.
var (
	secretFiles = []string{"number.go", "key.go", "pass.go"}
	secretKinds = []types.BasicKind{types.Uint64, types.Int64, types.Uint32, types.Uint16, types.Uint8}
	// The verdict of a check is told to whoever waits for the signature.
	verdicts = []string{"k.different(s, digests, out) != 0"}
	// What math/big may do: write bytes down, and say what size a number has.
	ofBig = []string{"FillBytes", "BitLen"}
)

// reader looks for what a secret decides in Go.
type reader struct {
	set  *token.FileSet
	info *types.Info
	errs []string
}

func (r *reader) secret(e ast.Expr) bool {
	tv := r.info.Types[e]
	if tv.Type == nil || tv.Value != nil { // a constant is no secret
		return false
	}
	basic, is := tv.Type.Underlying().(*types.Basic)
	return is && slices.Contains(secretKinds, basic.Kind())
}

func (r *reader) fail(at ast.Node, what string) {
	r.errs = append(r.errs, fmt.Sprintf("%s: %s", r.set.Position(at.Pos()), what))
}

// visit holds each expression to what it may do.
func (r *reader) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		r.binary(n)
	case *ast.IndexExpr:
		if r.secret(n.Index) {
			r.fail(n, "a secret is an index")
		}
	case *ast.SliceExpr:
		for _, bound := range []ast.Expr{n.Low, n.High, n.Max} {
			if bound != nil && r.secret(bound) {
				r.fail(n, "a secret bounds a slice")
			}
		}
	case *ast.SwitchStmt:
		if n.Tag != nil && r.secret(n.Tag) {
			r.fail(n, "a secret is compared")
		}
	case *ast.RangeStmt:
		if r.secret(n.X) {
			r.fail(n, "a secret is a loop's length")
		}
	case *ast.AssignStmt:
		if n.Tok == token.QUO_ASSIGN || n.Tok == token.REM_ASSIGN {
			r.binary(&ast.BinaryExpr{X: n.Lhs[0], OpPos: n.TokPos, Op: token.QUO, Y: n.Rhs[0]})
		}
		if (n.Tok == token.SHL_ASSIGN || n.Tok == token.SHR_ASSIGN) && r.secret(n.Rhs[0]) {
			r.fail(n, "a secret is a shift's width")
		}
	case *ast.CallExpr:
		r.call(n)
	}
	return true
}

// Of operators these tell a secret by time, or by what is done next.
var (
	comparisons = []token.Token{token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ}
	divisions   = []token.Token{token.QUO, token.REM}
	shifts      = []token.Token{token.SHL, token.SHR}
)

func (r *reader) binary(n *ast.BinaryExpr) {
	either := r.secret(n.X) || r.secret(n.Y)
	if either && slices.Contains(comparisons, n.Op) && !slices.Contains(verdicts, types.ExprString(n)) {
		r.fail(n, "a secret is compared")
	}
	if either && slices.Contains(divisions, n.Op) {
		r.fail(n, "a secret is divided")
	}
	if slices.Contains(shifts, n.Op) && r.secret(n.Y) {
		r.fail(n, "a secret is a shift's width")
	}
}

// call refuses conversions that would hide a secret, choices by size, and math/big.
func (r *reader) call(n *ast.CallExpr) {
	for _, arg := range n.Args {
		if !r.secret(arg) {
			continue
		}
		to := r.info.Types[n.Fun]
		if to.IsType() && !r.secret(n) {
			r.fail(n, "a secret takes another type")
		}
		if to.IsBuiltin() {
			r.fail(n, "a secret goes to a builtin")
		}
	}
	if method, is := n.Fun.(*ast.SelectorExpr); is {
		f, _ := r.info.Uses[method.Sel].(*types.Func)
		if f != nil && f.Pkg() != nil && f.Pkg().Path() == "math/big" && !slices.Contains(ofBig, f.Name()) {
			r.fail(n, "math/big computes")
		}
	}
}

// readSource checks the package's files, one of which may have other contents.
func readSource(t *testing.T, name, contents string) []string {
	t.Helper()
	r := &reader{set: token.NewFileSet(), info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}}
	var files []*ast.File
	for _, file := range append([]string{"kernel_other.go"}, secretFiles...) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		if file == name {
			raw = []byte(contents)
		}
		parsed, err := parser.ParseFile(r.set, file, raw, 0)
		require.NoError(t, err)
		files = append(files, parsed)
	}
	_, err := (&types.Config{Importer: importer.Default()}).Check("batchsign", r.set, files, r.info)
	require.NoError(t, err)
	for _, file := range files {
		ast.Inspect(file, r.visit)
	}
	return r.errs
}

// In the Go half no digit and no byte is compared, divided, an index, a width, a
// length, or given a type in which it could be one of them unseen.
func TestNoSecretDecidesInGo(t *testing.T) {
	require.Empty(t, readSource(t, "", ""))
}

// The reader finds each kind of leak that is put in.
func TestTheReaderFindsLeaks(t *testing.T) {
	for _, leak := range []struct{ file, old, now, finds string }{
		{"number.go", "subtract := ^uint64(borrow)", "if borrow < 0 {\n\t\treturn\n\t}\n\tsubtract := ^uint64(borrow)", "a secret is compared"},
		{"number.go", "n[j], carry = v&digitMask, v>>digitBits", "n[j], carry = v%digitMask, v>>digitBits", "a secret is divided"},
		{"number.go", "inverse := x", "inverse := [8]uint64{}[x&7]", "a secret is an index"},
		{"number.go", "inverse := x", "inverse := [8]uint64{}[int(x&7)]", "a secret takes another type"},
		{"number.go", "inverse := x", "inverse := max(x, 1)", "a secret goes to a builtin"},
		{"number.go", "inverse := x", "inverse := x << x", "a secret is a shift's width"},
		{"number.go", "inverse := x", "inverse := x\n\tfor range x {\n\t\tinverse++\n\t}", "a secret is a loop's length"},
		{"pass.go", "some |= ^s.whole.below(&k.n)", "if s.whole.below(&k.n) == 0 {\n\t\treturn 1\n\t}", "a secret is compared"},
		{"key.go", "s := new(numerals)", "s := new(numerals)\n\tnew(big.Int).Sub(private.Primes[0], private.Primes[1])", "math/big computes"},
	} {
		t.Run(leak.finds, func(t *testing.T) {
			raw, err := os.ReadFile(leak.file)
			require.NoError(t, err)
			require.Contains(t, string(raw), leak.old)
			found := readSource(t, leak.file, strings.Replace(string(raw), leak.old, leak.now, 1))
			require.Contains(t, strings.Join(found, "\n"), leak.finds)
		})
	}
}
