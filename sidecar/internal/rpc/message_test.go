package rpc

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	is := func(body string, want Message) {
		t.Helper()
		got, problem := Read([]byte(body))
		require.Nil(t, problem, body)
		require.Equal(t, want, got, body)
	}
	text := func(value string) Text { return Text{value, true} }
	is(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"Name":"x","name":"y","na\u006de":1}}}`,
		Message{Kind: Request, ID: "1", Method: "tools/call", Name: text("search")})
	is(" \t\r\n{ \"method\" : \"ping\" , \"id\" : \"a\\u0062\\\"\" , \"jsonrpc\" : \"2.0\" } \n", Message{Kind: Request, ID: `"a\u0062\""`, Method: "ping"})
	is(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, Message{Kind: Notification, Method: "notifications/initialized"})
	is(`{"jsonrpc":"2.0","id":-9007199254740991,"result":{"method":"tools/call","name":"x"}}`, Message{Kind: Response, ID: "-9007199254740991"})
	is(`{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":""}}`, Message{Kind: Response, ID: `"x"`})
	is(`{"jsonrpc":"2.0","id":0,"result":null}`, Message{Kind: Response, ID: "0"})
	is(`{"jsonrpc":"2.0","id":0,"method":"resources\/read","params":{"uri":"file:\/\/\u00e9\ud83d\ude00","taskId":7,"name":null}}`,
		Message{Kind: Request, ID: "0", Method: "resources/read", URI: text("file://é😀")})
	is(`{"jsonrpc":"2.0","id":0,"method":"x","params":{"taskId":"7","a":[true,false,null,0,-1.5e+9,1E-2,"\b\f\n\r\t\\\/\"é"]}}`,
		Message{Kind: Request, ID: "0", Method: "x", TaskID: text("7")})
	is(`{"jsonrpc":"2.0","id":0,"method":"x","params":`+strings.Repeat(`{"a":`, 63)+`1`+strings.Repeat(`}`, 63)+`}`, Message{Kind: Request, ID: "0", Method: "x"})
}

func TestReadRefuses(t *testing.T) {
	is := func(body, reason string, code int) {
		t.Helper()
		_, problem := Read([]byte(body))
		require.NotNil(t, problem, body)
		require.Equal(t, reason, problem.Reason, body)
		require.Equal(t, code, problem.Code, body)
		require.Equal(t, reason, problem.Error())
		require.NotContains(t, problem.Message, `"`)
	}
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
	}
	const one = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`

	is(`[`+one+`]`, "rpc_batch", -32600)
	is(` [`, "rpc_batch", -32600)
	for _, prefix := range []string{"\v", "\f", "\x00", "\x1e", "\u00a0", "\u2028"} {
		is(prefix+`[`+one+`]`, "rpc_prefix", -32600)
		is(prefix+one, "rpc_prefix", -32600)
	}
	is("\ufeff"+one, "rpc_encoding", -32600)
	is(`{"jsonrpc":"2.0","id":1,"method":"x`+"\xff"+`"}`, "rpc_encoding", -32600)
	is("{\x00\"\x00", "rpc_malformed", -32700)
	is("\x00{\x00", "rpc_prefix", -32600)

	for _, malformed := range []string{
		``, ` `, `{`, `{}}`, one + `,`, one + one, one + "\v", `{"jsonrpc":"2.0",}`, `{"jsonrpc":"2.0" "id":1}`, `{'jsonrpc':"2.0"}`, `{jsonrpc:"2.0"}`, `nul`, `tru`, `+1`, `01`, `1.`, `.5`,
		`1e`, `-`, `"`, `"\x"`, "\"\n\"", `"\u12"`, `"\ud800"`, `"\udc00\ud800"`, `"\ud800\u0041"`, `"\`, `NaN`, `Infinity`, `/**/{}`, `{"jsonrpc"`, `{"jsonrpc":`,
		call(`{"name":"x"`), call(`{"name":"\ud800"}`), call(`{"name":"x",}`), call(`{"a":[1,]}`), call(`{"a":[1 2]}`), call(`{"a" 1}`), call(`{"a":0x1}`), call(`{1:1}`),
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{}/**/}`,
	} {
		is(malformed, "rpc_malformed", -32700)
	}
	for _, scalar := range []string{`"x"`, `1`, `null`, `true`, ` false `} {
		is(scalar, "rpc_not_object", -32600)
	}
	is(call(strings.Repeat(`{"a":`, 64)+`1`+strings.Repeat(`}`, 64)), "rpc_too_deep", -32600)
	is(call(strings.Repeat(`{"a":[`, 100_000)), "rpc_too_deep", -32600)

	for _, name := range []string{"ID", "Id", `\u0069d`, "Method", "METHOD", "methodſ", "paramſ", "Params", "jsonRPC", "JSONRPC", "x", "", "id "} {
		is(`{"jsonrpc":"2.0","id":1,"method":"ping","`+name+`":{"name":"secret"}}`, "rpc_member_unknown", -32600)
	}
	for _, again := range []string{`"id":2`, `"method":"x"`, `"jsonrpc":"2.0"`, `"params":{}`} {
		is(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{},`+again+`}`, "rpc_member_duplicate", -32600)
	}
	is(`{"jsonrpc":"2.0","id":1,"result":1,"result":2}`, "rpc_member_duplicate", -32600)
	is(`{"jsonrpc":"2.0","id":1,"error":{},"error":{}}`, "rpc_member_duplicate", -32600)

	is(call(`{"name":"ok","name":"secret"}`), "rpc_member_duplicate", -32600)
	is(call(`{"name":"ok","Name":"secret"}`), "rpc_member_duplicate", -32600)
	is(call(`{"arguments":{},"ARGUMENTS":{}}`), "rpc_member_duplicate", -32600)
	is(call(`{"k":{},"\u212a":{}}`), "rpc_member_spelling", -32600)
	is(call(`{"k":{},"`+"\u212a"+`":{}}`), "rpc_member_duplicate", -32600) // KELVIN SIGN folds to k
	for _, name := range []string{"Name", "NAME", `\u006eame`, `name\u0000`, `n\/ame`, "Uri", "taskid", strings.Repeat("x", 129)} {
		is(call(`{"`+name+`":"secret"}`), "rpc_member_spelling", -32600)
	}
	var many []string
	for i := range 129 {
		many = append(many, `"m`+strings.Repeat("x", i%100)+string(rune('0'+i/100))+`":1`)
	}
	is(call(`{`+strings.Join(many, ",")+`}`), "rpc_member_count", -32600)

	for _, version := range []string{`"1.0"`, `2.0`, `2`, `null`, `"2.0 "`, `"2\u002e0"`, `["2.0"]`} {
		is(`{"jsonrpc":`+version+`,"id":1,"method":"ping"}`, "rpc_version", -32600)
	}
	is(`{"id":1,"method":"ping"}`, "rpc_version", -32600)
	is(`{}`, "rpc_version", -32600)
	for _, id := range []string{
		`null`, `1.0`, `1e0`, `1E2`, `-0`, `9007199254740992`, `-9007199254740992`, `10000000000000000`, `99999999999999999999`, `true`, `{}`, `[1]`, `""`, `"` + strings.Repeat("x", 257) + `"`,
	} {
		is(`{"jsonrpc":"2.0","method":"ping","id":`+id+`}`, "rpc_id", -32600)
	}
	for _, method := range []string{`""`, `1`, `null`, `{}`, `"a b"`, `"a\u0000"`, `"é"`, `"a\n"`, `"` + strings.Repeat("x", 129) + `"`} {
		is(`{"jsonrpc":"2.0","id":1,"method":`+method+`}`, "rpc_method", -32600)
	}
	for _, params := range []string{`[]`, `["x"]`, `null`, `"x"`, `1`} {
		is(call(params), "rpc_params", -32600)
	}
	for _, envelope := range []string{ // row E14
		`"method":"ping","id":1,"result":{}`, `"method":"ping","id":1,"error":{}`, `"method":"ping","result":{}`, `"id":1,"result":{},"error":{}`,
		`"id":1,"result":{},"params":{}`, `"id":1`, `"result":{}`, `"error":{}`, `"params":{}`, `"id":1,"params":{}`, `"id":1,"error":null`, `"id":1,"error":[]`,
	} {
		is(`{"jsonrpc":"2.0",`+envelope+`}`, "rpc_envelope", -32600)
	}
}

// What was understood before a refusal goes into the answer.
func TestReadKeepsID(t *testing.T) {
	m, problem := Read([]byte(`{"jsonrpc":"2.0","id":"a","method":"ping","params":[]}`))
	require.Equal(t, errParams, problem)
	require.Equal(t, `"a"`, m.ID)
	m, _ = Read([]byte(`{"jsonrpc":"2.0","params":[],"id":"a"}`))
	require.Empty(t, m.ID)
	m, _ = Read([]byte(`{"jsonrpc":"2.0","id":null}`))
	require.Empty(t, m.ID)
}

func TestFieldsAgree(t *testing.T) {
	is := func(body, method, name string, agrees bool) {
		t.Helper()
		m, problem := Read([]byte(body))
		require.Nil(t, problem)
		var f Fields
		if method != "-" {
			f.Method = []byte(method)
		}
		if name != "-" {
			f.Name = []byte(name)
		}
		problem = f.Agree(&m)
		require.Equal(t, agrees, problem == nil, "%s %q %q", body, method, name)
		if !agrees {
			require.Equal(t, -32020, problem.Code)
		}
	}
	call := func(name string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `","uri":"u"}}`
	}
	is(call("safe"), "-", "-", true)
	is(call("safe"), "tools/call", "safe", true)
	is(call("delete_all"), "tools/call", "safe", false)
	is(call("safe"), "tools/list", "safe", false)
	is(call("safe"), "Tools/Call", "safe", false)
	is(call("safe"), "", "-", false)
	is(call("safe"), "-", "", false)
	is(call("safe"), "-", "u", false)
	is(call("safe"), "-", "=?base64?c2FmZQ==?=", true)
	is(call("é"), "-", "=?base64?w6k=?=", true)
	is(call("é"), "-", "é", true)
	is(call("=?base64?c2FmZQ==?="), "-", "=?base64?c2FmZQ==?=", false)
	is(call("=?base64?c2FmZQ==?="), "-", "=?base64?PT9iYXNlNjQ/YzJGbVpRPT0/PQ==?=", true)
	is(call("delete_all"), "-", "=?base64?c2FmZQ==?=", false)
	for _, form := range []string{
		"=?base64?c2FmZQ?=", "=?base64?c2FmZQ==", "=?base64?c2FmZR==?=", "=?base64?c2Fm\nZQ==?=", "=?BASE64?c2FmZQ==?=", "=?base64?c2FmZQ==?= ", "=?utf-8?b?c2FmZQ==?=", "=?base64? c2FmZQ==?=", "=?base64?%63?=", "=?base64??=",
	} {
		is(call("safe"), "-", form, false)
	}
	is(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"u"}}`, "resources/read", "u", true)
	is(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"7"}}`, "tasks/get", "7", true)
	// What the method does not go by is no name of its.
	is(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"safe","uri":"file:///secret"}}`, "-", "safe", false)
	is(`{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"name":"safe","taskId":"7"}}`, "-", "safe", false)
	is(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"uri":"safe","taskId":"safe"}}`, "-", "safe", false)
	is(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, "ping", "-", true)
	is(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, "-", "x", false)
	is(`{"jsonrpc":"2.0","id":1,"result":{}}`, "ping", "-", false)
}
