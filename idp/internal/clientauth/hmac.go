package clientauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/idp"
)

// SchemeHMAC is the scheme of HMAC.
const SchemeHMAC = "hmac-sha256"

const (
	minPepper     = 32 // bytes
	maxPepper     = 1024
	maxPepperVers = 1_000_000
)

// HMAC keeps secrets as HMAC-SHA-256 under a pepper that is not in the store:
// v<version of the pepper>$<base64 of HMAC(pepper, credential id, NUL, secret)>.
// It is for secrets that nobody can guess, as ours are: without the pepper a
// stolen store is worth nothing, with it a guess costs a microsecond.
type HMAC struct {
	peppers map[int][]byte
	newest  int
}

// ParsePeppers makes the hasher from its setting, version:base64 separated by
// commas: the highest version makes new hashes, all of them verify. Nothing of
// a pepper is in the error.
func ParsePeppers(setting string) (*HMAC, error) {
	h := &HMAC{peppers: map[int][]byte{}}
	for i, entry := range strings.Split(setting, ",") {
		number, encoded, found := strings.Cut(strings.TrimSpace(entry), ":")
		if !found {
			return nil, fmt.Errorf("pepper %d: must be version:base64", i+1)
		}
		version, err := strconv.Atoi(number)
		if err != nil || version < 1 || version > maxPepperVers || strconv.Itoa(version) != number {
			return nil, fmt.Errorf("pepper %d: the version must be a number from 1 to %d", i+1, maxPepperVers)
		}
		pepper, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(pepper) < minPepper || len(pepper) > maxPepper {
			return nil, fmt.Errorf("pepper %d: must be %d to %d random bytes in base64", i+1, minPepper, maxPepper)
		}
		if h.peppers[version] != nil {
			return nil, fmt.Errorf("pepper %d: version %d is there twice", i+1, version)
		}
		h.peppers[version] = pepper
		h.newest = max(h.newest, version)
	}
	return h, nil
}

// Scheme implements Hasher.
func (*HMAC) Scheme() string { return SchemeHMAC }

func (*HMAC) light() {}

func encodeHMAC(version int, sum []byte) idp.SecretHash {
	return idp.SecretHash{Scheme: SchemeHMAC, Encoded: fmt.Sprintf("v%d$%s", version, base64.StdEncoding.EncodeToString(sum))}
}

func decodeHMAC(hash idp.SecretHash) (version int, sum []byte, err error) {
	number, encoded, found := strings.Cut(strings.TrimPrefix(hash.Encoded, "v"), "$")
	version, versionErr := strconv.Atoi(number)
	sum, sumErr := base64.StdEncoding.DecodeString(encoded)
	if hash.Scheme != SchemeHMAC || !found || versionErr != nil || sumErr != nil || len(sum) != sha256.Size {
		return 0, nil, errors.New("hmac-sha256: a stored secret is damaged")
	}
	return version, sum, nil
}

func sumHMAC(pepper []byte, credentialID, secret string) []byte {
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(credentialID))
	mac.Write([]byte{0})
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// Hash implements Hasher.
func (h *HMAC) Hash(_ context.Context, credentialID, secret string) (idp.SecretHash, error) {
	if !hashable(secret) {
		return idp.SecretHash{}, errSecret
	}
	return encodeHMAC(h.newest, sumHMAC(h.peppers[h.newest], credentialID, secret)), nil
}

// Verify implements Hasher.
func (h *HMAC) Verify(_ context.Context, credentialID string, hash idp.SecretHash, secret string) (bool, error) {
	version, want, err := decodeHMAC(hash)
	if err != nil {
		return false, err
	}
	pepper, known := h.peppers[version]
	if !known {
		return false, fmt.Errorf("hmac-sha256: version %d of the pepper, which a stored secret needs, is not configured", version)
	}
	return hmac.Equal(sumHMAC(pepper, credentialID, secret), want), nil
}

// Candidate implements Hasher. Trying is as cheap as asking.
func (*HMAC) Candidate(idp.SecretHash, string) bool { return true }

// Current implements Hasher: the pepper is the newest.
func (h *HMAC) Current(hash idp.SecretHash) bool {
	version, _, err := decodeHMAC(hash)
	return err == nil && version == h.newest
}

// Decoys implements Hasher.
func (h *HMAC) Decoys(tried ...idp.SecretHash) []idp.SecretHash {
	if len(tried) > 0 {
		return nil
	}
	var random [sha256.Size]byte
	rand.Read(random[:])
	return []idp.SecretHash{encodeHMAC(h.newest, random[:])}
}
