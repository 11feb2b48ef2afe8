// Package obs is what operators see of a program: its log, its metrics and the
// version it was built from.
package obs

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
)

// Formats of the log.
const (
	FormatJSON = "json"
	FormatText = "text"
)

// maxValue is the longest text of one attribute, in bytes; the rest is cut.
const maxValue = 4096

// NewLogger writes records of at least level to w, one a line. Whatever a
// caller passes, secrets in known shapes are masked and long values cut (see
// Mask): a last line of defence, not a licence to log them.
func NewLogger(w io.Writer, format string, level slog.Leveler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: replace}
	switch format {
	case FormatJSON:
		return slog.New(slog.NewJSONHandler(w, options)), nil
	case FormatText:
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return nil, fmt.Errorf("log format must be %s or %s, not %q", FormatJSON, FormatText, format)
}

// secretNames are attributes whose value is never shown, by name without
// separators, in lower case.
var secretNames = map[string]bool{
	"authorization": true, "proxyauthorization": true, "cookie": true, "setcookie": true,
	"secret": true, "clientsecret": true, "password": true, "passphrase": true, "masterkey": true, "privatekey": true,
	"token": true, "accesstoken": true, "refreshtoken": true, "assertion": true, "clientassertion": true,
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "")

// maxNames bounds the names that are remembered: those in the code are fewer,
// those out of data are without end.
const maxNames = 256

// known remembers of attribute names whether they are secret ones. Safe for
// concurrent use; an addition that another overtakes is made again.
type known struct {
	names atomic.Pointer[map[string]bool] // never written after it is stored
}

var names known

func (k *known) secret(name string) bool {
	before := k.names.Load()
	if before != nil {
		if secret, seen := (*before)[name]; seen {
			return secret
		}
	}
	secret := secretNames[separators.Replace(strings.ToLower(name))]
	after := map[string]bool{}
	if before != nil {
		if len(*before) >= maxNames {
			return secret
		}
		maps.Copy(after, *before)
	}
	after[strings.Clone(name)] = secret
	k.names.CompareAndSwap(before, &after)
	return secret
}

// replace is the handler's view of one attribute, the message included.
func replace(_ []string, a slog.Attr) slog.Attr {
	if names.secret(a.Key) {
		return slog.String(a.Key, masked)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Mask(a.Value.String()))
	case slog.KindAny:
		a.Value = opaque(a.Value.Any())
	default: // numbers, times: nothing to hide; the members of a group come one by one
	}
	return a
}

// opaque shows an error or a Stringer as its text. Of any other value it keeps
// the form, unless its text holds something to mask.
func opaque(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case *slog.Source, slog.Level:
		return slog.AnyValue(v)
	case error:
		return slog.StringValue(Mask(safely(v.Error)))
	case fmt.Stringer:
		return slog.StringValue(Mask(safely(v.String)))
	case []byte:
		return slog.StringValue(Mask(string(v)))
	}
	text := fmt.Sprintf("%+v", v)
	if kept := Mask(text); kept != text {
		return slog.StringValue(kept)
	}
	return slog.AnyValue(v)
}

// safely guards against a nil pointer behind an interface, as slog does.
func safely(text func() string) (s string) {
	defer func() {
		if r := recover(); r != nil {
			s = "<nil>"
		}
	}()
	return text()
}
