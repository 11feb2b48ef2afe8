package seed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strconv"
	"strings"
)

// Client is a seeded agent and its credential.
type Client struct {
	AgentID, CredentialID  string
	ClientID, ClientSecret string
}

// ClientAt is the n-th client of every seeded store: ids and secret follow from
// n, as spread and in the form that the product makes at random. So everybody
// knows the secrets.
func ClientAt(n int64) Client {
	secret := "aidp_sk_" + base62(digest("secret", n), 43)
	return Client{
		AgentID: uuid("agent", n), CredentialID: uuid("credential", n),
		ClientID:     "aidp_c_" + base62(digest("client", n), 22),
		ClientSecret: secret + base62(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(secret))), 6),
	}
}

// Clients are the first count of them.
func Clients(count int64) []Client {
	clients := make([]Client, count)
	for n := range count {
		clients[n] = ClientAt(n)
	}
	return clients
}

func digest(what string, n int64) []byte {
	sum := sha256.Sum256(strconv.AppendInt([]byte("agentidp bench "+what+" "), n, 10))
	return sum[:]
}

// uuid has the form of a random one (RFC 9562, version 4).
func uuid(what string, n int64) string {
	b := digest(what, n)[:16]
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// base62 writes the lowest digits of a number, most significant first.
func base62(number []byte, width int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	n, base, digit := new(big.Int).SetBytes(number), big.NewInt(int64(len(digits))), new(big.Int)
	out := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = digits[digit.Int64()]
	}
	return string(out)
}

// hasher makes hmac-sha256 rows under one pepper.
type hasher struct {
	version string
	pepper  []byte
}

// newHasher takes the setting AGENTIDP_PEPPER with one version in it.
func newHasher(setting string) (hasher, error) {
	version, encoded, found := strings.Cut(setting, ":")
	pepper, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(pepper) < 32 {
		return hasher{}, errors.New("the pepper must be version:base64 of 32 bytes or more")
	}
	return hasher{version, pepper}, nil
}

// encode is how the credential's secret rests.
func (h hasher) encode(c Client) string {
	mac := hmac.New(sha256.New, h.pepper)
	mac.Write([]byte(c.CredentialID))
	mac.Write([]byte{0})
	mac.Write([]byte(c.ClientSecret))
	return "v" + h.version + "$" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
