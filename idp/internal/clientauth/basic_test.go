package clientauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
)

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestParseBasic(t *testing.T) {
	accepted := func(header, id, secret string) {
		t.Helper()
		gotID, gotSecret, err := clientauth.ParseBasic(header)
		require.NoError(t, err)
		require.Equal(t, [2]string{id, secret}, [2]string{gotID, gotSecret})
	}
	accepted(basic("aidp_c_1:aidp_sk_2"), "aidp_c_1", "aidp_sk_2")
	accepted(strings.Replace(basic("a:b"), "Basic ", "bAsIc   ", 1), "a", "b")
	accepted(basic("a:"), "a", "")
	accepted(basic("a:b:c"), "a", "b:c")
	accepted(basic("a%3Ab:c%25+d%C3%BC"), "a:b", "c% dü")
	accepted("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame") // RFC 7617 section 2

	refused := func(want error, header string) {
		t.Helper()
		id, secret, err := clientauth.ParseBasic(header)
		require.ErrorIs(t, err, want, "%q", header)
		require.Empty(t, id+secret)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, other := range []string{"", "Bearer abc", "Basi", "Basicx abc", "Basic\tYTpi", "Baſic YTpi", " Basic YTpi", basic("a:b")[5:]} {
		refused(clientauth.ErrNotBasic, other)
	}
	for _, bad := range []string{
		"Basic", "Basic ", "Basic YTpi=", "Basic YTp", "Basic YTpj\n", "Basic YT\r\npi", "Basic YTpi YTpi", "Basic YTpi,", "Basic Y-p_", "Basic YTo=YTo=",
		"Basic YTpiYh==", basic("nocolon"), basic(":hunter2"), basic("a%zz:hunter2"), basic("a:hunter2%"), basic("a%ff:hunter2"), basic("a:hunter2\xff"),
		"Basic " + strings.Repeat("A", 1<<20),
	} {
		refused(clientauth.ErrBasic, bad)
	}
}

// FuzzParseBasic: what is accepted is what net/http and a form decoder read.
func FuzzParseBasic(f *testing.F) {
	for _, seed := range []string{basic("a:b"), basic("a%3a:b+c"), "Basic ", "basic YTpi", "Basic YTpi=", basic("\xff:a")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, err := clientauth.ParseBasic(header)
		if err != nil {
			return
		}
		require.NotEmpty(t, id)
		require.True(t, utf8.ValidString(id+secret))
		scheme, encoded, _ := strings.Cut(header, " ")
		request := http.Request{Header: http.Header{"Authorization": {scheme + " " + strings.TrimLeft(encoded, " ")}}}
		user, password, ok := request.BasicAuth()
		require.True(t, ok)
		wantID, err := url.QueryUnescape(user)
		require.NoError(t, err)
		wantSecret, err := url.QueryUnescape(password)
		require.NoError(t, err)
		require.Equal(t, [2]string{wantID, wantSecret}, [2]string{id, secret})
		again, secretAgain, err := clientauth.ParseBasic(basic(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
		if len(header) < 600 {
			require.NoError(t, err)
			require.Equal(t, [2]string{id, secret}, [2]string{again, secretAgain})
		}
	})
}
