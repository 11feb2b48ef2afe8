package rpc

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lenient is a message as encoding/json reads it: any case, the last of two.
type lenient struct {
	JSONRPC string `json:"jsonrpc"`
	ID      any    `json:"id"`
	Method  string `json:"method"`
	Params  struct {
		Name any `json:"name"`
		URI  any `json:"uri"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// FuzzRead holds what is accepted against two other readers: encoding/json into
// a struct, which takes any case, and into maps, which takes names exactly and
// the last of two, as Python and JavaScript do.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","Name":"secret"}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","name":"secret"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"\u006eame":"secret"}}`, "\v[{}]", `{"jsonrpc":"2.0","id":1.0,"method":"x"}`, `{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}`,
		`{"jsonrpc":"2.0","id":"\ud83d\ude00","method":"a\/b","params":{"name":"\u00e9","uri":"é"}}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":-1,"error":{}}`, `{"jsonrpc":"2.0","id":1,"method":"x","params":{"n":1E882}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		m, problem := Read(body)
		require.Equal(t, kept, body)
		if problem != nil {
			require.Zero(t, m.Kind)
			require.True(t, m.ID == "" || json.Valid([]byte(m.ID)))
			return
		}
		require.True(t, json.Valid(body))
		var loose lenient
		require.NoError(t, numbersAsWritten(body, &loose))
		var exact map[string]any
		require.NoError(t, numbersAsWritten(body, &exact))
		params, _ := exact["params"].(map[string]any)

		require.Equal(t, "2.0", loose.JSONRPC)
		require.Equal(t, m.Method, loose.Method)
		require.Equal(t, m.Method, or(exact["method"], any("")))
		require.Equal(t, m.Name.any(), onlyText(loose.Params.Name))
		require.Equal(t, m.Name.any(), onlyText(params["name"]))
		require.Equal(t, m.URI.any(), onlyText(loose.Params.URI))
		require.Equal(t, m.URI.any(), onlyText(params["uri"]))
		require.Equal(t, m.ID != "", loose.ID != nil)
		require.Equal(t, loose.ID, exact["id"])
		if number, ok := loose.ID.(json.Number); ok {
			require.Equal(t, m.ID, number.String())
		}
		require.Equal(t, m.Kind == Response, loose.Result != nil || loose.Error != nil)
		require.Equal(t, m.Kind == Notification, loose.ID == nil)
		require.Equal(t, m.Kind == Response, m.Method == "")
	})
}

// numbersAsWritten decodes without a look at how large numbers are: one that no double holds, in a member
// that nothing here reads, is for the API to judge.
func numbersAsWritten(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	return decoder.Decode(into)
}

func or(value, fallback any) any {
	if value == nil {
		return fallback
	}
	return value
}

func (x Text) any() any {
	if !x.Set {
		return nil
	}
	return x.Value
}

// onlyText leaves only strings.
func onlyText(value any) any {
	if text, ok := value.(string); ok {
		return text
	}
	return nil
}

// FuzzFilter holds the filter against filtering with encoding/json, and the
// filter of events against that of messages.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		listOf(`{"name":"a"},{"name":"b"}`), listOf(` {"name":"b"} , {"name":"a","x":[{}]}`), listOf(`{"name":"a","Name":"b"}`), listOf(``),
		`{"jsonrpc":"2.0","id":1,"result":{"Tools":[{"name":"b"}]}}`, `{"jsonrpc":"2.0","id":null,"error":{}}`, listOf(`{"name":"a","n":1E882}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		got, answer, err := only("a").Message(message)
		if err != nil {
			require.ErrorIs(t, err, ErrAnswer)
			return
		}
		var before, after map[string]any
		require.NoError(t, numbersAsWritten(message, &before))
		require.NoError(t, numbersAsWritten(got, &after))
		if result, ok := before["result"].(map[string]any); ok && answer.List != "" {
			left := []any{}
			for _, element := range result[answer.List].([]any) {
				if answer.List == "tools" && element.(map[string]any)["name"] == "a" {
					left = append(left, element)
				}
			}
			result[answer.List] = left
		}
		require.Equal(t, before, after)
		var loose struct{ Result json.RawMessage }
		require.NoError(t, json.Unmarshal(got, &loose))
		var tools struct{ Tools []struct{ Name string } }
		if json.Unmarshal(loose.Result, &tools) == nil {
			for _, tool := range tools.Tools {
				require.Equal(t, "a", tool.Name, "to a reader that takes any case")
			}
		}
		if bytes.ContainsRune(message, '\r') {
			return
		}
		events, err := io.ReadAll(NewEvents(strings.NewReader("data:"+strings.ReplaceAll(string(message), "\n", "\ndata:")+"\n\n"), only("a"), 1<<20))
		require.NoError(t, err)
		var data []string
		for line := range strings.Lines(string(events)) {
			if value, found := strings.CutPrefix(line, "data:"); found {
				data = append(data, strings.TrimSuffix(strings.TrimPrefix(value, " "), "\n"))
			}
		}
		var streamed map[string]any
		require.NoError(t, numbersAsWritten([]byte(strings.Join(data, "\n")), &streamed))
		require.Equal(t, after, streamed)
	})
}
