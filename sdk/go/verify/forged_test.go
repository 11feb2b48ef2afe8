package verify_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
)

type tokens struct {
	Warning     string      `json:"warning"`
	Issuer      string      `json:"issuer"`
	Audience    string      `json:"audience"`
	Now         int64       `json:"now"`         // Unix seconds
	Leeway      int64       `json:"leeway"`      // seconds
	MaxLifetime int64       `json:"maxLifetime"` // seconds
	JWKS        string      `json:"jwks"`        // a document of jwks.json
	Cases       []tokenCase `json:"cases"`
}

type tokenCase struct {
	Name   string        `json:"name"`
	Token  string        `json:"token"`
	Expect string        `json:"expect"` // accept, or the reason
	Claims *acceptClaims `json:"claims,omitempty"`
}

// acceptClaims are what a verifier must hand out of an accepted token.
type acceptClaims struct {
	Subject      string   `json:"subject"`
	ClientID     string   `json:"clientId"`
	Organization string   `json:"organization"`
	Audience     []string `json:"audience"`
	Scope        string   `json:"scope"`
	JTI          string   `json:"jti"`
	IssuedAt     int64    `json:"issuedAt"`
	ExpiresAt    int64    `json:"expiresAt"`
	KID          string   `json:"kid"`
}

func (f *forge) tokens() tokens {
	all := tokens{Warning: warning, Issuer: issuer, Audience: audience, Now: now, Leeway: leeway, MaxLifetime: 3600, JWKS: "a and b"}
	for _, group := range [][]tokenCase{f.accepted(), f.badAlgorithms(), f.badHeaders(), f.badKeys(), f.badClaims(), f.badTimes(), f.badText()} {
		all.Cases = append(all.Cases, group...)
	}
	return all
}

// rs256 signs with key a.
func (f *forge) rs256(header, claims string) string {
	return f.sign("a", crypto.SHA256, header, claims)
}

func (f *forge) accepted() []tokenCase {
	header, body := f.header("a"), claims("jti-1", now-60)
	expect := func(change func(*acceptClaims)) *acceptClaims {
		c := &acceptClaims{
			Subject: subject, ClientID: "aidp_c_0123456789abcdefghijkl", Organization: "default", Audience: []string{audience},
			Scope: "notes:read notes:write", JTI: "jti-1", IssuedAt: now - 60, ExpiresAt: now + 3540, KID: f.kid("a"),
		}
		change(c)
		return c
	}
	same := expect(func(*acceptClaims) {})
	long := with(body, "pad", `""`)
	long = with(body, "pad", `"`+strings.Repeat("p", (8192-len(f.rs256(header, long)))*3/4)+`"`)
	for len(f.rs256(header, long)) < 8192 {
		long = strings.Replace(long, `"pad":"`, `"pad":"p`, 1)
	}
	return []tokenCase{
		{"as the IdP makes it", f.rs256(header, body), "accept", same},
		{"signed with the other key", f.good("b", "jti-1", now-60), "accept", expect(func(c *acceptClaims) { c.KID = f.kid("b") })},
		{"several audiences", f.rs256(header, with(body, "aud", `["https://other.example.com","`+audience+`"]`)), "accept", expect(func(c *acceptClaims) { c.Audience = []string{"https://other.example.com", audience} })},
		{"an array of one audience", f.rs256(header, with(body, "aud", `["`+audience+`"]`)), "accept", same},
		{"typ with its prefix", f.rs256(with(header, "typ", `"application/at+jwt"`), body), "accept", same},
		{"typ in another case", f.rs256(with(header, "typ", `"AT+JWT"`), body), "accept", same},
		{"without a scope", f.rs256(header, with(body, "scope", "")), "accept", expect(func(c *acceptClaims) { c.Scope = "" })},
		{"with an empty scope", f.rs256(header, with(body, "scope", `""`)), "accept", expect(func(c *acceptClaims) { c.Scope = "" })},
		{"unknown claims and header members", f.rs256(with(header, "x", "[1]"), with(body, "cnf", `{"jkt":"a"}`)), "accept", same},
		{"good from a moment on that has passed", f.rs256(header, with(body, "nbf", fmt.Sprint(now))), "accept", same},
		{"issued by a clock that is ahead by the leeway", f.good("a", "jti-1", now+leeway), "accept", expect(func(c *acceptClaims) { c.IssuedAt, c.ExpiresAt = now+leeway, now+leeway+3600 })},
		{"expired within the leeway", f.good("a", "jti-1", now-3600-leeway+1), "accept", expect(func(c *acceptClaims) { c.IssuedAt, c.ExpiresAt = now-3604, now-4 })},
		{"names with escapes", f.rs256(header, strings.Replace(body, `"sub"`, `"s\u0075b"`, 1)), "accept", same},
		{"space between members", f.rs256(strings.ReplaceAll(header, ",", " ,\n\t"), strings.ReplaceAll(body, `,"`, ` , "`)), "accept", same},
		{"with a place in a status list", f.rs256(header, with(body, "status", `{"status_list":{"idx":5,"uri":"`+issuer+`/statuslists/0"}}`)), "accept", same},
		{"of 8 KiB", f.rs256(header, long), "accept", same},
	}
}

func (f *forge) badAlgorithms() []tokenCase {
	header, body := f.header("a"), claims("jti-2", now-60)
	public := f.rsa("a").Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(f.t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	alg := func(value string) string { return with(header, "alg", value) }
	none := alg(`"none"`)
	return []tokenCase{
		{"alg none, no signature", b64([]byte(none)) + "." + b64([]byte(body)) + ".", "malformed", nil},
		{"alg none, some signature", f.rs256(none, body), "algorithm", nil},
		{"alg nOnE", f.rs256(alg(`"nOnE"`), body), "algorithm", nil},
		{"HS256 with the public key as PEM", f.hs256(text, alg(`"HS256"`), body), "algorithm", nil},
		{"HS256 with the public key as DER", f.hs256(der, alg(`"HS256"`), body), "algorithm", nil},
		{"HS256 with the public key as JWK", f.hs256([]byte(f.jwk("a")), alg(`"HS256"`), body), "algorithm", nil},
		{"HS256 signature, alg RS256", f.hs256(text, header, body), "signature", nil},
		{"RS384", f.sign("a", crypto.SHA384, alg(`"RS384"`), body), "algorithm", nil},
		{"RS512", f.sign("a", crypto.SHA512, alg(`"RS512"`), body), "algorithm", nil},
		{"RS384 signature, alg RS256", f.sign("a", crypto.SHA384, header, body), "signature", nil},
		{"PS256", f.rs256(alg(`"PS256"`), body), "algorithm", nil},
		{"ES256", f.rs256(alg(`"ES256"`), body), "algorithm", nil},
		{"EdDSA", f.rs256(alg(`"EdDSA"`), body), "algorithm", nil},
		{"rs256 in small letters", f.rs256(alg(`"rs256"`), body), "algorithm", nil},
		{"no alg", f.rs256(alg(""), body), "algorithm", nil},
		{"alg is a number", f.rs256(alg("256"), body), "algorithm", nil},
		{"alg is an array", f.rs256(alg(`["RS256"]`), body), "algorithm", nil},
	}
}

func (f *forge) badHeaders() []tokenCase {
	header, body := f.header("a"), claims("jti-3", now-60)
	cases := []tokenCase{
		{"crit", f.rs256(with(header, "crit", `["exp2"]`), body), "critical_header", nil},
		{"b64", f.rs256(with(header, "b64", "false"), body), "critical_header", nil},
		{"zip", f.rs256(with(header, "zip", `"DEF"`), body), "critical_header", nil},
		{"its own key", f.sign("c", crypto.SHA256, with(f.header("c"), "jwk", f.jwk("c")), body), "critical_header", nil},
		{"the right key sent along", f.rs256(with(header, "jwk", f.jwk("a")), body), "critical_header", nil},
		{"jku", f.sign("c", crypto.SHA256, with(f.header("c"), "jku", `"https://evil.example.com/jwks.json"`), body), "critical_header", nil},
		{"x5u", f.rs256(with(header, "x5u", `"https://evil.example.com/cert.pem"`), body), "critical_header", nil},
		{"x5c", f.rs256(with(header, "x5c", `["MIIB"]`), body), "critical_header", nil},
		{"a header larger than 2 KiB", f.rs256(with(header, "x", `"`+strings.Repeat("x", 2048)+`"`), body), "oversize", nil},
	}
	for _, typ := range []string{"", `"JWT"`, `"dpop+jwt"`, `"secevent+jwt"`, `"statuslist+jwt"`, `"application/jwt"`, `"application/"`, `"at+jwt2"`, `""`, "5", "null"} {
		cases = append(cases, tokenCase{"typ: " + typ, f.rs256(with(header, "typ", typ), body), "type_mismatch", nil})
	}
	return cases
}

func (f *forge) badKeys() []tokenCase {
	header, body := f.header("a"), claims("jti-4", now-60)
	good := f.rs256(header, body)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	signed := good[:len(good)-len(signature)]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	require.NoError(f.t, err)
	flipped := append([]byte{}, raw...)
	flipped[100] ^= 1
	kid := func(value string) string { return f.rs256(with(header, "kid", value), body) }
	return []tokenCase{
		{"no kid", kid(""), "malformed", nil},
		{"an empty kid", kid(`""`), "malformed", nil},
		{"kid is a number", kid("5"), "malformed", nil},
		{"kid of 129 bytes", kid(`"` + strings.Repeat("k", 129) + `"`), "malformed", nil},
		{"a kid that nobody has", kid(`"nobody"`), "unknown_key", nil},
		{"kid of 128 bytes", kid(`"` + strings.Repeat("k", 128) + `"`), "unknown_key", nil},
		{"kid is a path", kid(`"../../etc/passwd"`), "unknown_key", nil},
		{"kid is a piece of SQL", kid(`"' OR 1=1 --"`), "unknown_key", nil},
		{"kid is a member of every object in JavaScript", kid(`"__proto__"`), "unknown_key", nil},
		{"kid with a line break", kid(`"a\nb"`), "unknown_key", nil},
		{"a key that is not in the set", f.good("c", "jti-4", now-60), "unknown_key", nil},
		{"signed with another key of the set", f.sign("b", crypto.SHA256, header, body), "signature", nil},
		{"signed with a key that is not in the set", f.sign("c", crypto.SHA256, header, body), "signature", nil},
		{"one bit of the signature", signed + b64(flipped), "signature", nil},
		{"a signature cut off", signed + b64(raw[:255]), "signature", nil},
		{"a signature with a byte more", signed + b64(append(raw[:256:256], 0)), "signature", nil},
		{"a signature of zeros", signed + b64(make([]byte, 256)), "signature", nil},
		{"other claims under the signature", b64([]byte(header)) + "." + b64([]byte(with(body, "sub", `"admin"`))) + "." + signature, "signature", nil},
		{"expired and badly signed", f.sign("b", crypto.SHA256, header, claims("jti-4", now-7200)), "signature", nil},
		{"for somebody else and badly signed", f.sign("b", crypto.SHA256, header, with(body, "aud", `"https://other.example.com"`)), "signature", nil},
	}
}

func (f *forge) badClaims() []tokenCase {
	header, body := f.header("a"), claims("jti-5", now-60)
	row := func(expect, member, value string) tokenCase {
		return tokenCase{member + ": " + strings.TrimSpace(shorten(value)), f.rs256(header, with(body, member, value)), expect, nil}
	}
	long := `"` + strings.Repeat("s", 257) + `"`
	cases := []tokenCase{
		row("issuer_mismatch", "iss", `"https://evil.example.com"`), row("issuer_mismatch", "iss", `"`+issuer+`/"`), row("issuer_mismatch", "iss", `"HTTPS://idp.example.com"`),
		row("claims_invalid", "iss", ""), row("claims_invalid", "iss", `""`), row("claims_invalid", "iss", "5"), row("claims_invalid", "iss", `["`+issuer+`"]`),
		row("audience_mismatch", "aud", `"https://other.example.com"`), row("audience_mismatch", "aud", `"`+audience+`/"`), row("audience_mismatch", "aud", `"`+audience+`.evil.example"`),
		row("audience_mismatch", "aud", `"https://api.example"`), row("audience_mismatch", "aud", `["https://a.example.com","https://b.example.com"]`), row("audience_mismatch", "aud", `"`+issuer+`"`),
		row("claims_invalid", "aud", ""), row("claims_invalid", "aud", "[]"), row("claims_invalid", "aud", "null"), row("claims_invalid", "aud", `["`+audience+`",5]`), row("claims_invalid", "aud", `["`+audience+`",""]`), row("claims_invalid", "aud", `{"a":"`+audience+`"}`),
		row("claims_invalid", "rev", ""), row("claims_invalid", "rev", "[0,0]"), row("claims_invalid", "rev", "[0,0,0,0]"), row("claims_invalid", "rev", "[-1,0,0]"), row("claims_invalid", "rev", `["0","0","0"]`), row("claims_invalid", "rev", "[0,0,0.5]"), row("claims_invalid", "rev", "null"),
		row("claims_invalid", "scope", "5"), row("claims_invalid", "scope", "null"), row("claims_invalid", "scope", `["notes:read"]`), row("claims_invalid", "scope", `" notes:read"`), row("claims_invalid", "scope", `"notes:read "`), row("claims_invalid", "scope", `"a  b"`), row("claims_invalid", "scope", `"a\tb"`), row("claims_invalid", "scope", `"ä"`),
		row("claims_invalid", "status", "5"), row("claims_invalid", "status", `{"status_list":{"idx":-1,"uri":"`+issuer+`/statuslists/0"}}`), row("claims_invalid", "status", `{"status_list":{"uri":"`+issuer+`/statuslists/0"}}`), row("claims_invalid", "status", `{"status_list":{"idx":1}}`), row("claims_invalid", "status", `{"status_list":{"idx":"1","uri":"`+issuer+`/statuslists/0"}}`),
	}
	for _, member := range []string{"sub", "client_id", "jti", "org"} {
		for _, value := range []string{"", `""`, "5", "null", `"a\nb"`, long} {
			cases = append(cases, row("claims_invalid", member, value))
		}
	}
	return cases
}

// shorten keeps the name of a case readable.
func shorten(value string) string {
	if value == "" {
		return "(missing)"
	}
	if len(value) > 60 {
		return fmt.Sprintf("%s… (%d)", value[:20], len(value))
	}
	return value
}

func (f *forge) badTimes() []tokenCase {
	header, body := f.header("a"), claims("jti-6", now-60)
	row := func(name, expect, member, value string) tokenCase {
		return tokenCase{name, f.rs256(header, with(body, member, value)), expect, nil}
	}
	cases := []tokenCase{
		{"expired", f.good("a", "jti-6", now-7200), "expired", nil},
		{"expired, the leeway is over", f.good("a", "jti-6", now-3600-leeway), "expired", nil},
		{"issued in the future", f.good("a", "jti-6", now+leeway+1), "not_yet_valid", nil},
		row("good from later on", "not_yet_valid", "nbf", fmt.Sprint(now+leeway+1)),
		row("a life longer than an hour", "lifetime", "exp", fmt.Sprint(now+3541)),
		row("a life until the end of time", "lifetime", "exp", "253402300799"),
		{"no life at all", f.rs256(header, with(with(body, "iat", fmt.Sprint(now+2)), "exp", fmt.Sprint(now+2))), "lifetime", nil},
		{"it ends before it begins", f.rs256(header, with(with(body, "iat", fmt.Sprint(now+3)), "exp", fmt.Sprint(now+1))), "lifetime", nil},
		row("exp beyond the year 9999", "claims_invalid", "exp", "253402300800"),
		row("exp of 1e300", "claims_invalid", "exp", "1e300"),
		row("exp beyond 64 bits", "claims_invalid", "exp", "99999999999999999999"),
	}
	for _, member := range []string{"exp", "iat"} {
		for _, value := range []string{"", "0", "-1", "null", `"1793609940"`, "1793609940.5", "1.79360994e9", "[1793609940]", "true"} {
			cases = append(cases, row(member+": "+shorten(value), "claims_invalid", member, value))
		}
	}
	for _, value := range []string{"0", "-1", "null", `"1793606400"`, "1793606399.5"} {
		cases = append(cases, row("nbf: "+value, "claims_invalid", "nbf", value))
	}
	return cases
}

func (f *forge) badText() []tokenCase {
	header, body := f.header("a"), claims("jti-7", now-60)
	good := f.rs256(header, body)
	part := strings.Split(good, ".")
	raw, err := base64.RawURLEncoding.DecodeString(part[2])
	require.NoError(f.t, err)
	last := part[2][len(part[2])-1]
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	unused := string(alphabet[strings.IndexByte(alphabet, last)|1])
	members := ""
	for i := range 65 {
		members += fmt.Sprintf(`,"m%d":0`, i)
	}
	payload := func(text string) string { return f.rs256(header, text) }
	cases := []tokenCase{
		{"nothing", "", "malformed", nil},
		{"a dot", ".", "malformed", nil},
		{"two dots", "..", "malformed", nil},
		{"two segments", part[0] + "." + part[1], "malformed", nil},
		{"four segments", good + ".x", "malformed", nil},
		{"five segments, as a JWE has", good + ".x.y", "malformed", nil},
		{"a dot behind it", good + ".", "malformed", nil},
		{"no header", "." + part[1] + "." + part[2], "malformed", nil},
		{"no signature", part[0] + "." + part[1] + ".", "malformed", nil},
		{"no claims", part[0] + ".." + part[2], "malformed", nil},
		{"padded", strings.Join([]string{part[0], part[1], base64.URLEncoding.EncodeToString(raw)}, "."), "malformed", nil},
		{"unused bits of the signature", good[:len(good)-1] + unused, "malformed", nil},
		{"the standard alphabet", part[0] + "." + part[1] + "." + base64.RawStdEncoding.EncodeToString(append([]byte{0xfb, 0xff, 0xbf}, raw[3:]...)), "malformed", nil},
		{"a line break in it", part[0] + "." + part[1][:10] + "\n" + part[1][10:] + "." + part[2], "malformed", nil},
		{"a space before it", " " + good, "malformed", nil},
		{"a space behind it", good + " ", "malformed", nil},
		{"a line break behind it", good + "\n", "malformed", nil},
		{"a zero byte behind it", good + "\x00", "malformed", nil},
		{"another letter that looks so", strings.Replace(good, "e", "\u0435", 1), "malformed", nil},
		{"trailing bytes", good + "AAAA", "signature", nil},
		{"one byte longer than 8 KiB", strings.Repeat("a", 8193), "oversize", nil},
		{"9,000 dots", strings.Repeat(".", 9000), "oversize", nil},
		{"alg twice", f.rs256(`{"alg":"none",`+header[1:], body), "malformed", nil},
		{"alg twice, once with an escape", f.rs256(`{"\u0061lg":"none",`+header[1:], body), "malformed", nil},
		{"kid twice", f.rs256(header[:len(header)-1]+`,"kid":"`+f.kid("a")+`"}`, body), "malformed", nil},
		{"sub twice", payload(body[:len(body)-1] + `,"sub":"admin"}`), "malformed", nil},
		{"sub twice, the same", payload(body[:len(body)-1] + `,"sub":"` + subject + `"}`), "malformed", nil},
		{"a member twice, deeper", payload(with(body, "x", `{"y":[{"a":1,"a":1}]}`)), "malformed", nil},
		{"eight levels", payload(with(body, "x", "[[[[[[[]]]]]]]")), "accept", nil},
		{"nine levels", payload(with(body, "x", "[[[[[[[[]]]]]]]]")), "malformed", nil},
		{"600 levels", payload(with(body, "x", strings.Repeat("[", 599)+strings.Repeat("]", 599))), "malformed", nil},
		{"more than 64 members", payload(body[:len(body)-1] + members + "}"), "malformed", nil},
		{"claims that are an array", payload("[" + body + "]"), "malformed", nil},
		{"claims that are a string", payload(`"claims"`), "malformed", nil},
		{"claims that are null", payload("null"), "malformed", nil},
		{"claims that are no JSON", payload("sub=admin"), "malformed", nil},
		{"claims with something behind them", payload(body + "{}"), "malformed", nil},
		{"claims with a zero byte behind them", payload(body + "\x00"), "malformed", nil},
		{"claims behind a byte order mark", payload("\ufeff" + body), "malformed", nil},
		{"claims with a comma too many", payload(body[:len(body)-1] + ",}"), "malformed", nil},
		{"claims with a comment", payload("/*a*/" + body), "malformed", nil},
		{"claims with NaN", payload(with(body, "x", "NaN")), "malformed", nil},
		{"a number with a zero before it", payload(with(body, "x", "01")), "malformed", nil},
		{"a control character in a string", payload(with(body, "x", "\"a\x01b\"")), "malformed", nil},
		{"claims that are no UTF-8", payload(with(body, "x", "\"\xff\"")), "malformed", nil},
		{"an overlong encoding", payload(with(body, "x", "\"\xc0\xaf\"")), "malformed", nil},
		{"half a surrogate pair", payload(with(body, "sub", `"\ud800"`)), "malformed", nil},
		{"an escape that is none", payload(with(body, "x", `"\x41"`)), "malformed", nil},
		{"a header that is an array", f.rs256("["+header+"]", body), "malformed", nil},
		{"a header with something behind it", f.rs256(header+"x", body), "malformed", nil},
	}
	for i := range cases {
		if cases[i].Name == "eight levels" {
			cases[i].Claims = &acceptClaims{
				Subject: subject, ClientID: "aidp_c_0123456789abcdefghijkl", Organization: "default", Audience: []string{audience},
				Scope: "notes:read notes:write", JTI: "jti-7", IssuedAt: now - 60, ExpiresAt: now + 3540, KID: f.kid("a"),
			}
		}
	}
	return cases
}
