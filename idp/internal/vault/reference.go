package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const digestSize = sha256.Size

// reference is what a row keeps of a secret: where its digest is and the key
// that makes it. The text is v1$mark$credentialId$version$key.
type reference struct {
	id      string
	version int64 // of the KV entry, from 1
	key     [32]byte
	mark    [1]byte // tells secrets of one credential apart; of their 256 random bits it gives away 8
}

const referenceForm = "v1"

func (r *reference) String() string {
	return fmt.Sprintf("%s$%s$%s$%d$%s", referenceForm, hex.EncodeToString(r.mark[:]), r.id, r.version,
		base64.RawURLEncoding.EncodeToString(r.key[:]))
}

// errReference does not quote the text: it holds a key.
var errReference = errors.New("vault: not a reference to a secret in Vault")

func parse(encoded string) (r reference, err error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 || parts[0] != referenceForm || !validID(parts[2]) {
		return r, errReference
	}
	mark, err1 := hex.DecodeString(parts[1])
	version, err2 := strconv.ParseInt(parts[3], 10, 64)
	key, err3 := base64.RawURLEncoding.Strict().DecodeString(parts[4])
	if errors.Join(err1, err2, err3) != nil || len(mark) != len(r.mark) || len(key) != len(r.key) || version < 1 {
		return r, errReference
	}
	r.id, r.version, r.mark, r.key = parts[2], version, [1]byte(mark), [32]byte(key)
	return r, nil
}

// validID reports whether an id can be one segment of a path as it stands.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func (r *reference) digest(secret string) [digestSize]byte { return r.mac("digest", secret) }

func (r *reference) marks(secret string) [1]byte {
	sum := r.mac("mark", secret)
	return [1]byte(sum[:1])
}

// mac binds to the purpose and the credential, neither of which has a NUL.
func (r *reference) mac(purpose, secret string) (sum [digestSize]byte) {
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write([]byte("agentidp " + purpose + "\x00" + r.id + "\x00" + secret))
	mac.Sum(sum[:0])
	return sum
}
