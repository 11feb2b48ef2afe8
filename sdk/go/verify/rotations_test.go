package verify_test

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"fmt"

	"github.com/stretchr/testify/require"
)

type rotations struct {
	Warning   string     `json:"warning"`
	Issuer    string     `json:"issuer"`
	Audience  string     `json:"audience"`
	Start     int64      `json:"start"` // Unix seconds of at 0
	Scenarios []scenario `json:"scenarios"`
}

type scenario struct {
	Name  string `json:"name"`
	Steps []step `json:"steps"`
}

type step struct {
	At      int64  `json:"at"`    // seconds after start
	Fetch   string `json:"fetch"` // what the JWKS address answers now
	Token   string `json:"token"`
	Expect  string `json:"expect"`
	Fetches int    `json:"fetches"` // begun by this step
}

const (
	away      = "away"       // no connection
	keysStale = "keys_stale" // it cannot be decided: no keys that may be trusted
)

func (f *forge) rotations() rotations {
	r := rotations{Warning: warning, Issuer: issuer, Audience: audience, Start: now}
	// by signs at the moment of the step; nobody is a kid that no set has.
	by := func(at int64, key, fetch, expect string, fetches int) step {
		var token string
		if f.keys[key] != nil {
			token = f.good(key, "jti", now+at)
		} else {
			token = f.sign("c", crypto.SHA256, with(f.header("c"), "kid", `"`+key+`"`), claims("jti", now+at))
		}
		return step{At: at, Fetch: fetch, Token: token, Expect: expect, Fetches: fetches}
	}
	add := func(name string, steps ...step) { r.Scenarios = append(r.Scenarios, scenario{name, steps}) }
	first := by(0, "a", "a", "accept", 1)

	add("fetched once, at the first token", first, by(1, "a", "a", "accept", 0), by(260, "a", "a", "accept", 0))
	add("an unknown key fetches, not sooner than ten seconds after the last fetch", first,
		by(5, "b", "a and b", "unknown_key", 0), by(11, "b", "a and b", "accept", 1), by(12, "b", "a and b", "accept", 0), by(13, "a", "a and b", "accept", 0))
	add("a flood of unknown keys is one fetch in ten seconds, and good tokens pass", first,
		by(11, "x1", "a", "unknown_key", 1), by(12, "x2", "a", "unknown_key", 0), by(13, "x3", "a", "unknown_key", 0), by(14, "a", "a", "accept", 0),
		by(22, "x4", "a", "unknown_key", 1), by(23, "x5", "a", "unknown_key", 0))
	add("a key that a fetch did not bring is not asked for again for five minutes", first,
		by(11, "b", "a", "unknown_key", 1), by(30, "b", "a and b", "unknown_key", 0), by(250, "b", "a and b", "unknown_key", 0))
	add("but known as soon as any fetch brings it", first,
		by(11, "b", "a", "unknown_key", 1), by(30, "c", "a and b", "unknown_key", 1), by(31, "b", "a and b", "accept", 0))
	add("a fetch that failed says nothing about a key", first,
		by(11, "b", away, "unknown_key", 1), by(15, "b", "a and b", "unknown_key", 0), by(22, "b", "a and b", "accept", 1))
	add("refreshed after five minutes behind the request; a key that left is refused", first,
		by(260, "a", "b", "accept", 0), by(331, "a", "b", "accept", 1), by(332, "a", "b", "unknown_key", 0), by(333, "b", "b", "accept", 0))
	add("a rotation: the next key is published, signs, and the old one leaves", first,
		by(331, "a", "a and b", "accept", 1), by(340, "b", "a and b", "accept", 0), by(341, "a", "a and b", "accept", 0),
		by(662, "b", "b", "accept", 1), by(663, "a", "b", "unknown_key", 0), by(664, "b", "b", "accept", 0))
	add("with the IdP away the last good set counts for a day", first,
		by(331, "a", away, "accept", 1), by(335, "a", away, "accept", 0), by(342, "a", away, "accept", 1), by(80000, "a", away, "accept", 1),
		by(86390, "a", away, "accept", 1), by(86401, "a", away, keysStale, 1), by(86403, "a", "a", keysStale, 0), by(86412, "a", "a", "accept", 1), by(86413, "a", away, "accept", 0))
	add("a set is confirmed by every good fetch", first,
		by(50000, "a", "a", "accept", 1), by(100000, "a", away, "accept", 1), by(136420, "a", away, keysStale, 1))
	add("no keys at first", by(0, "a", away, keysStale, 1), by(5, "a", "a", keysStale, 0), by(11, "a", "a", "accept", 1))
	hostile := []step{first}
	for i, answer := range []string{"status 500", "status 404", "status 302", "no keys", "no usable key", "not JSON", "empty", "cut off", "a member twice", "larger than 256 KiB"} {
		hostile = append(hostile, by(331+int64(i)*20, "a", answer, "accept", 1))
	}
	add("answers that are no key set change nothing", hostile...)
	add("of a set only what is usable", by(0, "a", "a, beside one for encryption", "accept", 1), by(1, "b", "a and b", "unknown_key", 0))

	forged := []step{first}
	for i, header := range []string{
		with(with(f.header("c"), "kid", `"x"`), "alg", `"none"`), with(with(f.header("c"), "kid", `"x"`), "jku", `"https://evil.example.com/jwks.json"`),
		with(with(f.header("c"), "kid", `"x"`), "typ", `"JWT"`),
	} {
		at := int64(11 + i)
		forged = append(forged, step{at, "a", f.sign("c", crypto.SHA256, header, claims("jti", now+at)), []string{"algorithm", "critical_header", "type_mismatch"}[i], 0})
	}
	add("what is refused by its header fetches nothing", forged...)
	return r
}

type statusLists struct {
	Warning string       `json:"warning"`
	Issuer  string       `json:"issuer"`
	JWKS    string       `json:"jwks"`
	Now     int64        `json:"now"`
	Cases   []statusCase `json:"cases"`
}

type statusCase struct {
	Name   string `json:"name"`
	URI    string `json:"uri"` // of the token's status claim
	Index  int64  `json:"index"`
	Status int    `json:"status"` // of the answer; 0: no connection
	Body   string `json:"body"`
	Expect string `json:"expect"` // accept, token_revoked or revocations_stale
}

// list is one of 16 places, 1 and 10 dead.
func (f *forge) list(key, header string, change func(claims string) string) string {
	body := fmt.Sprintf(`{"sub":"%s/statuslists/0","iat":%d,"exp":%d,"ttl":15,"status_list":{"bits":1,"lst":%q}}`, issuer, now-10, now+890, f.zlib([]byte{0b00000010, 0b00000100}))
	return f.sign(key, crypto.SHA256, header, change(body))
}

func (f *forge) zlib(data []byte) string {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	_, err := w.Write(data)
	require.NoError(f.t, err)
	require.NoError(f.t, w.Close())
	return b64(packed.Bytes())
}

func (f *forge) statusLists() statusLists {
	all := statusLists{Warning: warning, Issuer: issuer, JWKS: "a and b", Now: now}
	uri := issuer + "/statuslists/0"
	header := with(f.header("a"), "typ", `"statuslist+jwt"`)
	same := func(claims string) string { return claims }
	change := func(member, value string) func(string) string {
		return func(claims string) string { return with(claims, member, value) }
	}
	good := f.list("a", header, same)
	add := func(name string, index int64, status int, body, expect string) {
		all.Cases = append(all.Cases, statusCase{name, uri, index, status, body, expect})
	}
	const stale = "revocations_stale"
	add("index 0", 0, 200, good, "accept")
	add("index 1 is the second lowest bit of the first byte", 1, 200, good, "token_revoked")
	add("index 9", 9, 200, good, "accept")
	add("index 10", 10, 200, good, "token_revoked")
	add("the last index", 15, 200, good, "accept")
	add("an index beyond the list", 16, 200, good, stale)
	add("signed with the other key", 1, 200, f.list("b", with(header, "kid", `"`+f.kid("b")+`"`), same), "token_revoked")
	add("no connection", 0, 0, "", stale)
	add("503", 0, 503, `{"code":"UNAVAILABLE","message":"m","details":{}}`, stale)
	add("a redirect", 0, 302, "", stale)
	add("not signed by the issuer", 0, 200, f.list("c", with(header, "kid", `"`+f.kid("a")+`"`), same), stale)
	add("an unknown key", 0, 200, f.list("c", with(header, "kid", `"`+f.kid("c")+`"`), same), stale)
	add("another typ", 0, 200, f.list("a", f.header("a"), same), stale)
	add("alg none", 0, 200, f.list("a", with(header, "alg", `"none"`), same), stale)
	add("of another address", 0, 200, f.list("a", header, change("sub", `"`+issuer+`/statuslists/1"`)), stale)
	add("expired", 0, 200, f.list("a", header, change("exp", fmt.Sprint(now-1))), stale)
	add("without an end", 0, 200, f.list("a", header, change("exp", "")), stale)
	add("of two bits a token", 0, 200, f.list("a", header, change("status_list", fmt.Sprintf(`{"bits":2,"lst":%q}`, f.zlib([]byte{0, 0})))), stale)
	add("not compressed", 0, 200, f.list("a", header, change("status_list", fmt.Sprintf(`{"bits":1,"lst":%q}`, b64([]byte{0, 0})))), stale)
	add("larger than 1 MiB when it is unpacked", 0, 200, f.list("a", header, change("status_list", fmt.Sprintf(`{"bits":1,"lst":%q}`, f.zlib(make([]byte, 1<<20+1))))), stale)
	add("without a list", 0, 200, f.list("a", header, change("status_list", "")), stale)
	all.Cases = append(all.Cases, statusCase{"of an address beyond the issuer: not fetched", "https://evil.example.com/statuslists/0", 0, 200, good, stale})
	return all
}
