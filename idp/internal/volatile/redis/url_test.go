package redis

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestURL(t *testing.T) {
	for text, want := range map[string]target{
		"redis://localhost":               {addrs: []string{"localhost:6379"}},
		"redis://10.0.0.1:7000/":          {addrs: []string{"10.0.0.1:7000"}},
		"redis://:p%40ss@h:1/5":           {addrs: []string{"h:1"}, password: "p@ss", db: 5},
		"redis://user:a:b@h":              {addrs: []string{"h:6379"}, user: "user", password: "a:b"},
		"rediss://u:p@[2001:db8::1]:6380": {addrs: []string{"[2001:db8::1]:6380"}, user: "u", password: "p", tls: true},
		"redis://[::1]":                   {addrs: []string{"[::1]:6379"}},
		"unix:///run/redis.sock":          {socket: "/run/redis.sock"},
		"unix://u:p@/run/redis.sock?db=2": {socket: "/run/redis.sock", user: "u", password: "p", db: 2},
		"redis+sentinel://a,b:2,c/m":      {kind: "sentinel", addrs: []string{"a:26379", "b:2", "c:26379"}, master: "m"},
		"redis+sentinel://:p@a:1/m/3?sentinel_password=s%26": {
			kind: "sentinel", addrs: []string{"a:1"}, master: "m", password: "p", db: 3, sentinelPassword: "s&",
		},
		"redis+cluster://u:p@a:1,b:2":   {kind: "cluster", addrs: []string{"a:1", "b:2"}, user: "u", password: "p"},
		"redis+cluster://a/0":           {kind: "cluster", addrs: []string{"a:6379"}},
		"rediss+cluster://a":            {kind: "cluster", addrs: []string{"a:6379"}, tls: true},
		"rediss+sentinel://a:1,b:2/m/0": {kind: "sentinel", addrs: []string{"a:1", "b:2"}, master: "m", tls: true},
	} {
		got, err := parseURL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		require.NoError(t, got.connect().Close())
	}
}

func TestBadURL(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "must start with",
		"localhost:6379":                        "must start with",
		":secret@localhost:6379":                "must start with",
		"http://:secret@h":                      "unknown scheme",
		"redis+:secret://h":                     "unknown scheme",
		"redis+://:secret@h":                    "unknown scheme",
		"unix+cluster://:secret@h":              "unknown scheme",
		"redis://":                              "host 1 of 1",
		"redis://:secret@":                      "host 1 of 1",
		"redis://:secret@h:":                    "host 1 of 1",
		"redis://:secret@h:0":                   "host 1 of 1",
		"redis://:secret@h:65536":               "host 1 of 1",
		"redis://:secret@h:secret":              "host 1 of 1",
		"redis://:secret@2001:db8::1":           "host 1 of 1",
		"redis+cluster://:secret@a:1,,b":        "host 2 of 3",
		"redis://:se/secret@h":                  "host 1 of 1",
		"redis://:secret@a,b":                   "several hosts",
		"redis://secret@h":                      "user:password",
		"redis://user:@h":                       "a user needs a password",
		"redis://:secret%zz@h":                  "password is not percent-encoded",
		"redis://%zz:secret@h":                  "user is not percent-encoded",
		"redis://:secret@h/x":                   "database must be a number",
		"redis://:secret@h/-1":                  "database must be a number",
		"redis://:secret@h/1/2":                 "too many parts",
		"redis://:secret@h?db=1":                "the query may have",
		"redis://:secret@h?secret=%zz":          "the query is not encoded",
		"redis+cluster://:secret@h/1":           "database 0 only",
		"redis+sentinel://:secret@h":            "name of the master",
		"redis+sentinel://:secret@h/m/0/secret": "too many parts",
		"redis+sentinel://h/m?sentinel_password=secret&sentinel_password=secret": "once",
		"unix://run/secret":                "absolute path",
		"unix:///run/redis.sock?db=secret": "database must be a number",
		"unix://:secret%zz@/run/x":         "password is not percent-encoded",
	} {
		_, err := parseURL(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "secret", text)
	}
}

func FuzzURL(f *testing.F) {
	f.Add("redis://u:p@h:1/2")
	f.Add("redis+sentinel://a,b/m/1?sentinel_password=x")
	f.Add("unix://u:p@/s?db=1")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseURL(text)
		if err == nil && len(got.addrs) == 0 && got.socket == "" {
			t.Fatalf("%q leads nowhere", text)
		}
	})
}
