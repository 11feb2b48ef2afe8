package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// maxAnswer bounds what is read of an answer, in bytes. Ours have less than one KiB.
const maxAnswer = 256 << 10

// request is one call: a read, with a body a write.
type request struct {
	operation string // for errors and metrics
	method    string // default GET
	path      string // without /v1/
	query     map[string][]string
	body      any
}

// answer is what Vault wraps everything in.
type answer struct {
	Data json.RawMessage `json:"data"`
	Auth *authority      `json:"auth"`
}

// authority is a token that Vault gave out, in the answer to a login or a renewal.
type authority struct {
	Token     string `json:"client_token"`
	Seconds   int64  `json:"lease_duration"`
	Renewable bool   `json:"renewable"`
}

// lease is how long the token is good from now on; 0: for ever.
func (a *authority) lease() time.Duration {
	const longest = 10 * 365 * 24 * 3600 // what nobody outlives, and what a Duration can hold
	return time.Duration(min(max(a.Seconds, 0), longest)) * time.Second
}

// send makes one request; out takes the answer's data, or all of it when it is an *answer.
func send(ctx context.Context, client *api.Client, r request, out any) error {
	response, err := raw(ctx, client, r)
	if response != nil {
		defer response.Body.Close() //nolint:errcheck // was read
	}
	if err != nil {
		return meaning(ctx, err)
	}
	switch response.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusOK:
	default:
		return fmt.Errorf("status %d", response.StatusCode)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return meaning(ctx, err)
	}
	return decode(text, out)
}

func raw(ctx context.Context, client *api.Client, r request) (*api.Response, error) {
	switch r.method {
	case http.MethodDelete:
		return client.Logical().DeleteRawWithContext(ctx, r.path)
	case http.MethodPut:
		body, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		return client.Logical().WriteRawWithContext(ctx, r.path, body)
	default:
		return client.Logical().ReadRawWithDataWithContext(ctx, r.path, r.query)
	}
}

// errAnswer does not say what was wrong with the answer: that would quote it.
var errAnswer = errors.New("the answer is not one of Vault's")

// decode reads an answer. out is nil, an *answer, or takes its data.
func decode(text []byte, out any) error {
	var whole answer
	if err := json.Unmarshal(text, &whole); err != nil {
		return errAnswer
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *answer:
		*out = whole
		return nil
	default:
		if json.Unmarshal(whole.Data, out) != nil {
			return errAnswer
		}
		return nil
	}
}
