package policy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUses(t *testing.T) {
	none, all := InputUse{}, everything
	path, host := InputUse{Path: true}, InputUse{Host: true}
	for _, fact := range []struct {
		rules string
		want  InputUse
	}{
		{answer(true, "x"), none},
		{`decision := [input.route.id, input.route.capability]`, none},
		{`decision := input.agent`, InputUse{Identity: true}},
		{`decision := input.agent.id`, InputUse{Identity: true}},
		{`decision := input.token.scope`, InputUse{Scope: true}},
		{`decision := 1 if "x" in input.token.scope`, InputUse{Scope: true}},
		{"import input.token as t\n\ndecision := t.scope[0]", InputUse{Scope: true}},
		{`decision := [input.agent.id, input.token, input.route.capability]`, InputUse{Scope: true, Identity: true}},
		{`decision := input.token.jti`, InputUse{Scope: true, Identity: true}},
		{`decision := input.token[data.name]`, InputUse{Scope: true, Identity: true}},
		{`decision := {x | x := input.token[_]}`, InputUse{Scope: true, Identity: true}},
		{`decision := object.get(input.token, "scope", [])`, InputUse{Scope: true, Identity: true}},
		{`decision := [y | y := data.p with input.token as {}]`, InputUse{Scope: true, Identity: true}},
		{`decision := input.request.unknown`, none},
		{`decision := input.request.method`, InputUse{Method: true}},
		{`decision := input.request.host`, host},
		{`decision := input.request.path`, path},
		{`decision := input.request.peer`, InputUse{Peer: true}},
		{`decision := input.rpc`, InputUse{RPC: true}},
		{`decision := [input.rpc.name, input.request.path]`, InputUse{Path: true, RPC: true}},
		{"decision := 1 if input.rpc[data.name]", InputUse{RPC: true}},
		{"import input.rpc as r\n\ndecision := 1 if r.method == \"/\"", InputUse{RPC: true}},
		{`decision := [input.request.path, input.request.host]`, InputUse{Path: true, Host: true}},
		{`decision := input.request["path"]`, path},
		{`decision := input["request"].path`, path},
		{`decision := input.request`, all},
		{`decision := input`, all},
		{`decision := object.get(input, ["request", "path"], "")`, all},
		{`decision := object.get(input.request, "path", "")`, all},
		{`decision := [x | walk(input, x)]`, all},
		{`decision := {x | some x in input.request}`, all},
		{`decision := {x | x := input[_]}`, all},
		{`decision := {x | x := input.request[_]}`, all},
		{"decision := input[data.name].path", all},
		{"decision := input.request[data.name]", all},
		{"decision := 1 if { r := input.request; r.path == \"/\" }", all},
		{"decision := 1 if { i := input; i.request.path == \"/\" }", all},
		{"import input.request as r\n\ndecision := 1 if r.path == \"/\"", path},
		{"import input.request.host as h\n\ndecision := 1 if h == \"/\"", host},
		{"import input as i\n\ndecision := 1 if i.request.path == \"/\"", path},
		{"decision := 1 if \"/\" == input.request.path", path},
		{"decision := 1 if not input.request.path", path},
		{"decision := 1 if every x in [input.request.path] { x == \"/\" }", path},
		{"decision := 1 if every x in [1] { input.request.path == x }", path},
		{"decision := 1 if { some x in [input.request.path]; x == 1 }", path},
		{"decision := f(1)\n\nf(x) := input.request.path if x == 1", path},
		{"decision := f(input.request.path)\n\nf(x) := x", path},
		{"decision := f(input)\n\nf(x) := x.request.path", all},
		{"decision := p\n\np[input.request.path] := 1", path},
		{"decision := p\n\np[input.request.path].x := 1", path},
		{"decision := p\n\np contains input.request.path", path},
		{"decision := {input.request.path: 1}", path},
		{"decision := {k: v | some k, v in {1: input.request.path}}", path},
		{"decision := 1 if false\n\nelse := input.request.path", path},
		{"decision := 1 if false\n\nelse := 2 if input.request.path == \"/\"", path},
		{"decision := data.x[input.request.path]", path},
		{"decision := data.x[data.y[input.request.path]]", path},
		{"decision := {1: 2}[input.request.path]", path},
		{"decision := [y | y := data.p with input.request.path as 1]", path},
		{"decision := [y | y := data.p with input as {}]", all},
		{"decision := [y | y := data.p with data.q as input.request.host]", host},
		{"decision := $\"{input.request.path}\"", path},
		{"decision := 1 if startswith(input.request.path, \"/\")", path},
		{"decision := 1\n\nunreached := input.request.path", path},
	} {
		require.Equal(t, fact.want, engine(t, authz(fact.rules)).Uses(), fact.rules)
	}
}

func TestUsesInEveryModule(t *testing.T) {
	e := engine(t, folder("authz.rego", head+"decision := data.other.x", "other.rego", "package other\n\nx := input.request.peer\n"))
	require.Equal(t, InputUse{Peer: true}, e.Uses())
}
