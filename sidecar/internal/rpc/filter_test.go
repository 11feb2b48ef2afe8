package rpc

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// only lets through the names in a list; a method that was asked of otherwise than expected is not.
func only(names ...string) Filter {
	return func(method, name string) (bool, error) {
		for _, allowed := range names {
			if method == "tools/call" && name == allowed {
				return true, nil
			}
		}
		return false, nil
	}
}

func listOf(tools string) string {
	return `{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"c","tools":[` + tools + `],"_meta":{"tools":[{"name":"x"}]}}}`
}

func TestFilter(t *testing.T) {
	is := func(tools, want string, names ...string) {
		t.Helper()
		message := listOf(tools)
		got, answer, err := only(names...).Message([]byte(message))
		require.NoError(t, err, tools)
		require.Equal(t, listOf(want), string(got))
		require.Equal(t, Answer{Kind: Response, List: "tools"}, answer)
		require.True(t, json.Valid(got))
		require.Equal(t, listOf(tools), message, "the message itself is not changed")
	}
	a, b, c := `{"name":"a","inputSchema":{"name":1,"Name":2}}`, ` { "description" : "\u006e" , "name" : "b" } `, "\n\t"+`{"name":"\u0063"}`
	is(a+","+b+","+c, a+","+b+","+c, "a", "b", "c")
	is(a+","+b+","+c, a+","+c, "a", "c")
	is(a+","+b+","+c, b, "b")
	is(a+","+b+","+c, b+","+c, "b", "c")
	is(a+","+b+","+c, "")
	is(a, a, "a")
	is(a, "", "A", "a ", "aa")
	is(``, ``)
	is(" \n", " \n")
	is(a+","+a, a+","+a, "a")
}

func TestFilterOthers(t *testing.T) {
	same := func(message string, want Answer) {
		t.Helper()
		got, answer, err := only().Message([]byte(message))
		require.NoError(t, err, message)
		require.Equal(t, message, string(got))
		require.Equal(t, want, answer)
	}
	same(`{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"tools":[{"name":"x"}]}}}`, Answer{Kind: Response})
	same(`{"jsonrpc":"2.0","id":1,"result":7}`, Answer{Kind: Response})
	same(`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, Answer{Kind: Response, Failed: true})
	same(`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, Answer{Kind: Response, Failed: true})
	same(`{"jsonrpc":"2.0","method":"notifications/message","params":{"tools":[{"name":"x"}],"Name":1}}`, Answer{Kind: Notification})
	same(`{"jsonrpc":"2.0","id":"s","method":"sampling/createMessage","params":{"tools":[{"name":"x"}]}}`, Answer{Kind: Request})

	asked := map[string]string{}
	all := Filter(func(method, name string) (bool, error) { asked[name] = method; return false, nil })
	for member, element := range map[string]string{"prompts": "p", "resources": "r", "resourceTemplates": "t", "tools": "x"} {
		got, answer, err := all.Message([]byte(`{"jsonrpc":"2.0","id":1,"result":{"` + member + `":[{"name":"` + element + `"}]}}`))
		require.NoError(t, err)
		require.Equal(t, `{"jsonrpc":"2.0","id":1,"result":{"`+member+`":[]}}`, string(got))
		require.Equal(t, member, answer.List)
	}
	require.Equal(t, map[string]string{"p": "prompts/get", "r": "resources/read", "t": "resources/read", "x": "tools/call"}, asked)
	for method, member := range map[string]string{
		"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates", "tools/call": "", "Tools/list": "",
	} {
		require.Equal(t, member, Lists(method))
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, message := range []string{
		``, `[]`, `[` + listOf(`{"name":"a"}`) + `]`, `{"jsonrpc":"2.0"}`, "\ufeff" + listOf(``), listOf("{\"name\":\"\xff\"}"), listOf(`{"name":"a"}`) + "x", "\v" + listOf(``), `null`, `"x"`,
		listOf(`{"name":"a","name":"b"}`), listOf(`{"name":"a","Name":"b"}`), listOf(`{"Name":"b"}`), listOf(`{"name":"a","\u006eame":"b"}`), listOf(`{"\u006eame":"b"}`),
		listOf(`{}`), listOf(`{"name":1}`), listOf(`{"name":null}`), listOf(`"a"`), listOf(`null`), listOf(`[{"name":"a"}]`), listOf(`{"name":"a"},`), listOf(`{"name":"\ud800"}`), listOf(`{"name":"a"`),
		listOf(strings.Repeat(`{"name":"a"},`, 1000) + `{"name":"a"}`), listOf(`{"name":"a","x":` + strings.Repeat(`[`, 70) + strings.Repeat(`]`, 70) + `}`),
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}],"tools":[{"name":"b"}]}}`, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"Tools":[{"name":"b"}]}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"Tools":[{"name":"b"}]}}`, `{"jsonrpc":"2.0","id":1,"result":{"\u0074ools":[{"name":"b"}]}}`, `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"prompts":[]}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"tools":{"name":"a"}}}`, `{"jsonrpc":"2.0","id":1,"result":{"tools":null}}`,
		`{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"a"}]}}`, `{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[{"name":"a"}]}}`, `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`,
		`{"jsonrpc":"2.0","id":1,"id":null,"result":{}}`, `{"jsonrpc":"2.0","id":null,"id":null,"result":{}}`, `{"jsonrpc":"2.0","method":"x","params":1,"params":2}`,
		`{"jsonrpc":"2.0","id":1,"method":"x","result":{"tools":[{"name":"a"}]}}`, `{"jsonrpc":"1.0","id":1,"result":{"tools":[]}}`,
	} {
		got, _, err := only("a", "b").Message([]byte(message))
		require.ErrorIs(t, err, ErrAnswer, message)
		require.Nil(t, got)
	}
	away := errors.New("away")
	_, _, err := Filter(func(string, string) (bool, error) { return true, away }).Message([]byte(listOf(`{"name":"a"}`)))
	require.ErrorIs(t, err, away)
}

func TestEvents(t *testing.T) {
	is := func(stream, want string) {
		t.Helper()
		for name, from := range map[string]io.Reader{"whole": strings.NewReader(stream), "bytes": iotest.OneByteReader(strings.NewReader(stream)), "eof": iotest.DataErrReader(strings.NewReader(stream))} {
			got, err := io.ReadAll(NewEvents(from, only("a"), 1<<20))
			require.NoError(t, err, name)
			require.Equal(t, want, string(got), name)
		}
	}
	full, left := listOf(`{"name":"a"},{"name":"b"}`), listOf(`{"name":"a"}`)
	is("", "")
	is("data: "+full+"\n\n", "data: "+left+"\n\n")
	is("event: message\r\nid: 7\r\ndata:"+full+"\r\nretry: 5\r\n\r\n", "event: message\r\nid: 7\r\ndata: "+left+"\nretry: 5\r\n\r\n")
	is(": ping\n\nid: 1\ndata:\n\ndata: "+left+"\n\n", ": ping\n\nid: 1\ndata:\n\ndata: "+left+"\n\n")
	is(": ping\n: pong\ndata: "+full+"\n\n", ": ping\n: pong\ndata: "+left+"\n\n")
	note := `{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`
	is("data:"+note+"\n\ndata: "+full+"\n\ndata: "+note+"\n\n", "data:"+note+"\n\ndata: "+left+"\n\ndata: "+note+"\n\n")
	half := strings.Index(full, `{"name":"b"}`)
	is("data: "+full[:half]+"\nid: 1\ndata: "+full[half:]+"\n\n", "data: "+left+"\nid: 1\n\n")
	is("data: "+strings.ReplaceAll(full, `"result"`, "\ndata: \"result\"")+"\n\n", "data: "+strings.ReplaceAll(left, `"result"`, "\ndata: \"result\"")+"\n\n")
	is("data: "+full, "data: "+left+"\n") // some readers take an event that the stream does not end
	is("datax: {\ndatum\n\n", "datax: {\ndatum\n\n")
}

func TestEventsRefuse(t *testing.T) {
	full := listOf(`{"name":"a"},{"name":"b"}`)
	for _, stream := range []string{
		"\ufeffdata: " + full + "\n\n", "data: {\n\n", "data: [" + full + "]\n\n", "Data: " + full + "\n\n", "id: 1\rdata: " + full + "\n\n", "data: " + full + "\r\r", "data: " + full + "\ndata: x\n\n",
		"data: " + strings.Repeat("x", 600) + "\n\n", "data\n" + strings.Repeat(" ", 600), "data: " + full + full, "\xef",
		"data : " + full + "\n\n", " data: " + full + "\n\n", "\tDATA\v: " + full + "\n\n",
	} {
		got, err := io.ReadAll(NewEvents(strings.NewReader("data: "+listOf(`{"name":"a"}`)+"\n\n"+stream), only("a"), 512))
		if strings.HasPrefix(stream, "\ufeff") || stream == "\xef" {
			got, err = io.ReadAll(NewEvents(strings.NewReader(stream), only("a"), 512))
			require.Empty(t, got)
		}
		require.ErrorIs(t, err, ErrAnswer, stream)
		require.NotContains(t, string(got), `"b"`)
	}
	_, err := io.ReadAll(NewEvents(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("data: "+full))), only("a"), 512))
	require.ErrorIs(t, err, iotest.ErrTimeout)
}

// What was searched once is not searched again: an event in many pieces costs no more than one.
func TestWholeGoesOn(t *testing.T) {
	const event = "id: 1\r\ndata: x\r\n\r\n"
	at := 0
	for n := range len(event) {
		size, lines := whole([]byte(event[:n]), at)
		require.Zero(t, size)
		require.Equal(t, strings.LastIndex(event[:n], "\n")+1, lines)
		at = lines
	}
	size, _ := whole([]byte(event+"more\n\n"), at)
	require.Equal(t, len(event), size)
	size, lines := whole([]byte("\n\nid"), 2)
	require.Zero(t, size)
	require.Equal(t, 2, lines, "what is behind is not looked at")
}
