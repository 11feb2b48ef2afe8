package obs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const masked = "[masked]"

// shapes are the secrets that Mask knows. Each regular expression runs only
// when its hint is in the text, so that an ordinary value costs a few scans.
var shapes = []struct {
	hint    string
	pattern *regexp.Regexp
	shown   string
}{
	// Client secrets, whole or cut short.
	{"aidp_sk_", regexp.MustCompile(`aidp_sk_[0-9A-Za-z]*`), "aidp_sk_" + masked},
	// Compact JWS and JWE: the first segment is base64url of "{" and any of `"`, space or a line break.
	{".", regexp.MustCompile(`\be[yw][A-Za-z0-9_=-]{6,}\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=.-]*`), masked},
	{"earer ", regexp.MustCompile(`([Bb]earer )\s*[^\s"',;]+`), "${1}" + masked},
	{"asic ", regexp.MustCompile(`([Bb]asic )\s*[A-Za-z0-9+/_-]{8,}=*`), "${1}" + masked},
	{"://", regexp.MustCompile(`(://[^\s/?#:@]*):[^\s/?#@]*@`), "${1}:" + masked + "@"},
	{"PRIVATE KEY", regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`), masked},
	{"=", regexp.MustCompile(`(?i)\b(client_secret|access_token|refresh_token|client_assertion|password|token)=[^\s&"',;]+`), "${1}=" + masked},
}

// Mask replaces secrets of known shape in text (client secrets, JWTs, Bearer
// and Basic credentials, passwords in URLs, private keys, secret form members),
// and cuts text to 4 KiB of valid UTF-8, saying how long it was.
func Mask(text string) string {
	cut := ""
	if len(text) > maxValue {
		// A secret that straddles the cut is still whole here: look a little further, mask, then cut.
		cut = fmt.Sprintf("… (%d bytes)", len(text))
		text = text[:min(len(text), 2*maxValue)]
	}
	for _, shape := range shapes {
		if strings.Contains(text, shape.hint) {
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
