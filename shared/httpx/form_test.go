package httpx_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

func TestParseForm(t *testing.T) {
	form, err := httpx.ParseForm([]byte("grant_type=client_credentials&scope=notes%3Aread+a b&empty=&bare&&resource=a&resource=b&k%3d=%c3%A9=x"))
	require.NoError(t, err)
	require.Equal(t, httpx.Form{
		"grant_type": {"client_credentials"}, "scope": {"notes:read a b"}, "empty": {""}, "bare": {""},
		"resource": {"a", "b"}, "k=": {"é=x"},
	}, form)
	require.Equal(t, "a", form.Value("resource"))
	require.Empty(t, form.Value("absent"))
	require.Equal(t, "resource", form.Repeated())
	require.Empty(t, form.Repeated("resource"))
	form, err = httpx.ParseForm(nil)
	require.NoError(t, err)
	require.Empty(t, form)
	form, err = httpx.ParseForm([]byte("b=&b=&a=1&%61=2"))
	require.NoError(t, err)
	require.Equal(t, "a", form.Repeated(), "however it is spelt")

	for name, body := range map[string]string{
		"percent at the end": "a=%", "half a percent": "a=%4", "no hex": "a=%zz", "name": "%=a", "no name": "=a", "sign": "a=%+1",
		"NUL": "a=%00", "raw NUL": "a=\x00", "line break": "a=b\n", "encoded line break": "a=%0D%0A", "DEL": "a=%7f",
		"not UTF-8": "a=%ff", "raw not UTF-8": "a=\xff", "overlong": "a=%c0%af", "surrogate": "a=%ed%a0%80",
	} {
		_, err := httpx.ParseForm([]byte(body))
		require.True(t, apierr.Is(err, apierr.InvalidRequest), name)
		require.Equal(t, "form_malformed", apierr.From(err).Reason, name)
	}
	parameters := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "p%d=%d&", i, i)
		}
		return []byte(b.String())
	}
	_, err = httpx.ParseForm(parameters(64))
	require.NoError(t, err)
	_, err = httpx.ParseForm(parameters(65))
	require.Equal(t, "form_too_many_parameters", apierr.From(err).Reason)
	_, err = httpx.ParseForm([]byte("a=" + strings.Repeat("x", 64<<10-2)))
	require.NoError(t, err)
	_, err = httpx.ParseForm([]byte("a=" + strings.Repeat("x", 64<<10-1)))
	require.True(t, apierr.Is(err, apierr.PayloadTooLarge))
}

// FuzzParseForm: what is accepted, the standard library reads the same way, and
// it survives being encoded again.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"a=b&c=d+e%20f", "a=%", "&&=&", "a;b=c", "%61=%C3%A9&a", strings.Repeat("a&", 70)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := httpx.ParseForm(body)
		if err != nil {
			return
		}
		for name, values := range form {
			require.NotEmpty(t, name)
			for _, text := range append(values, name) {
				require.True(t, utf8.ValidString(text))
				require.Equal(t, -1, strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }))
			}
		}
		if !strings.Contains(string(body), ";") { // a raw one is data for us, an error there
			values, err := url.ParseQuery(string(body))
			require.NoError(t, err)
			require.Equal(t, url.Values(form), values)
		}
		again, err := httpx.ParseForm([]byte(url.Values(form).Encode()))
		if len(url.Values(form).Encode()) <= 64<<10 {
			require.NoError(t, err)
			require.Equal(t, form, again)
		}
	})
}
