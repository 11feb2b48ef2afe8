package obs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const masked = "[masked]"

// shapes are the secrets that Mask knows. Each regular expression runs only
// when what no match is without is in the text: its hint, and one of either.
var shapes = []struct {
	hint    string
	either  []string
	pattern *regexp.Regexp
	shown   string
}{
	// Client secrets, whole or cut short.
	{"aidp_sk_", nil, regexp.MustCompile(`aidp_sk_[0-9A-Za-z]*`), "aidp_sk_" + masked},
	// Compact JWS and JWE: the first segment is base64url of "{" and any of `"`, space or a line break.
	{".", []string{"ey", "ew"}, regexp.MustCompile(`\be[yw][A-Za-z0-9_=-]{6,}\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=.-]*`), masked},
	{"earer ", nil, regexp.MustCompile(`([Bb]earer )\s*[^\s"',;]+`), "${1}" + masked},
	{"asic ", nil, regexp.MustCompile(`([Bb]asic )\s*[A-Za-z0-9+/_-]{8,}=*`), "${1}" + masked},
	{"://", nil, regexp.MustCompile(`(://[^\s/?#:@]*):[^\s/?#@]*@`), "${1}:" + masked + "@"},
	{"PRIVATE KEY", nil, regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), masked},
	{"=", nil, regexp.MustCompile(`(?i)\b(client_secret|access_token|refresh_token|client_assertion|password|token)=[^\s&"',;]+`), "${1}=" + masked},
}

// marked are the bytes of which every hint has one, and those of other than ASCII.
var marked = func() (m [256]bool) {
	for _, b := range []byte("_. :=") {
		m[b] = true
	}
	for b := utf8.RuneSelf; b < len(m); b++ {
		m[b] = true
	}
	return m
}()

// plain reports text that Mask leaves as it is, after one look at each byte.
func plain(text string) bool {
	if len(text) > maxValue {
		return false
	}
	for i := range len(text) {
		if marked[text[i]] {
			return false
		}
	}
	return true
}

func has(text string, either []string) bool {
	return len(either) == 0 || slices.ContainsFunc(either, func(one string) bool { return strings.Contains(text, one) })
}

// Mask replaces secrets of known shape in text (client secrets, JWTs, Bearer
// and Basic credentials, passwords in URLs, private keys, secret form members),
// and cuts text to 4 KiB of valid UTF-8, saying how long it was.
func Mask(text string) string {
	if plain(text) {
		return text
	}
	cut := ""
	if len(text) > maxValue {
		// A secret that straddles the cut is still whole here: look a little further, mask, then cut.
		cut = fmt.Sprintf("… (%d bytes)", len(text))
		text = text[:min(len(text), 2*maxValue)]
	}
	for _, shape := range shapes {
		if strings.Contains(text, shape.hint) && has(text, shape.either) {
			text = shape.pattern.ReplaceAllString(text, shape.shown)
		}
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxValue {
		end := maxValue
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return text + cut
}
