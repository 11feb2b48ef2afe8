package vault

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Scheme names this way to keep secrets, in idp.SecretHash.
const Scheme = "vault"

// keptVersions is how many versions Vault keeps of a credential's entry, 100 at
// least: a rotation that fails after its write leaves one behind, and what Vault
// prunes must never be the version that is in use.
const keptVersions = 100

// decoyID is the credential that nobody has.
const decoyID = "decoy"

var errCredentialID = errors.New("vault: the credential's id cannot be a path")

// Secrets keeps the digests of client secrets, never the secrets, in KV version
// 2 at agentidp/credentials/{credentialId}, a version for each secret. The
// digest is an HMAC-SHA-256 under a random key that only the credential's row
// has. So neither side alone can confirm a guess: the database has keys without
// digests, Vault has digests without keys. It needs no pepper that somebody must
// keep and rotate; and when the row forgets a secret, its digest is noise.
type Secrets struct {
	client *Client
	decoy  reference
}

// Secrets returns the scheme on this Vault.
func (c *Client) Secrets() *Secrets {
	s := &Secrets{client: c, decoy: reference{id: decoyID, version: 1}}
	rand.Read(s.decoy.key[:])
	rand.Read(s.decoy.mark[:])
	return s
}

// entry is what Vault keeps.
type entry struct {
	Digest string `json:"hmacSha256"` // base64url
}

// versioned is the data of a KV answer.
type versioned struct {
	Data     entry `json:"data"`
	Metadata struct {
		Version int64 `json:"version"`
	} `json:"metadata"`
}

// Hash writes the secret's digest as the newest version of the credential's
// entry and returns what the row keeps. Of two that do so at the same time one
// gets ErrConflict. Older versions stay good for the rows that know them.
func (s *Secrets) Hash(ctx context.Context, credentialID, secret string) (encoded string, err error) {
	r := reference{id: credentialID}
	if !validID(credentialID) || credentialID == decoyID {
		return "", errCredentialID
	}
	newest, err := s.newest(ctx, credentialID)
	if err != nil {
		return "", err
	}
	rand.Read(r.key[:])
	r.mark = r.marks(secret)
	if r.version, err = s.write(ctx, &r, secret, newest); err != nil {
		return "", err
	}
	return r.String(), nil
}

// newest is the number of the entry's last version. An entry that is not there
// gets its settings, and 0.
func (s *Secrets) newest(ctx context.Context, credentialID string) (int64, error) {
	var metadata struct {
		Current int64 `json:"current_version"`
	}
	err := s.client.do(ctx, request{operation: "read-metadata", path: s.path("metadata", credentialID)}, &metadata)
	if !errors.Is(err, errAbsent) {
		return metadata.Current, err
	}
	return 0, s.client.do(ctx, request{
		operation: "write-metadata", method: http.MethodPut, path: s.path("metadata", credentialID),
		body: map[string]any{"max_versions": keptVersions, "cas_required": true},
	}, nil)
}

// write adds the version after newest, unless there is one already.
func (s *Secrets) write(ctx context.Context, r *reference, secret string, newest int64) (version int64, err error) {
	var made struct {
		Version int64 `json:"version"`
	}
	digest := r.digest(secret)
	err = s.client.do(ctx, request{
		operation: "write-digest", method: http.MethodPut, path: s.path("data", r.id),
		body: map[string]any{
			"data":    entry{Digest: base64.RawURLEncoding.EncodeToString(digest[:])},
			"options": map[string]any{"cas": newest},
		},
	}, &made)
	if err == nil && made.Version <= newest {
		err = fmt.Errorf("vault: write-digest: %w", errAnswer)
	}
	return made.Version, err
}

// Verify reports whether encoded is of the secret. An error says that it cannot
// tell, never that the secret is wrong: ErrUnavailable when Vault cannot serve,
// ErrLost when the entry or its version is not there and the secret may be
// right. It reads once.
func (s *Secrets) Verify(ctx context.Context, encoded, secret string) (bool, error) {
	r, err := parse(encoded)
	if err != nil {
		return false, err
	}
	var got versioned
	err = s.client.do(ctx, request{
		operation: "read-digest", path: s.path("data", r.id), query: map[string][]string{"version": {strconv.FormatInt(r.version, 10)}},
	}, &got)
	want := r.digest(secret)
	if errors.Is(err, errAbsent) {
		if !s.Candidate(encoded, secret) {
			return false, nil
		}
		return false, ErrLost
	}
	if err != nil {
		return false, err
	}
	digest, err := got.digest(r.version)
	if err != nil {
		return false, fmt.Errorf("vault: read-digest: %w", err)
	}
	return hmac.Equal(digest, want[:]), nil
}

// digest is the entry's, when the answer is of the version that was asked for.
func (v *versioned) digest(version int64) ([]byte, error) {
	digest, err := base64.RawURLEncoding.DecodeString(v.Data.Digest)
	if err != nil || len(digest) != digestSize || v.Metadata.Version != version {
		return nil, errAnswer
	}
	return digest, nil
}

// Candidate reports, without asking Vault, whether encoded can be of the secret:
// false is certain, true is a guess. It tells which of two good secrets to read,
// so that every attempt costs one read.
func (*Secrets) Candidate(encoded, secret string) bool {
	r, err := parse(encoded)
	if err != nil {
		return false
	}
	mark := r.marks(secret)
	return hmac.Equal(r.mark[:], mark[:])
}

// Delete destroys the version that encoded names, and no other: what a rotation
// replaced, or a hash that did not get into its row. Doing it again is no error.
func (s *Secrets) Delete(ctx context.Context, encoded string) error {
	r, err := parse(encoded)
	if err != nil {
		return err
	}
	return gone(s.client.do(ctx, request{
		operation: "destroy-digest", method: http.MethodPut, path: s.path("destroy", r.id),
		body: map[string]any{"versions": []int64{r.version}},
	}, nil))
}

// DeleteCredential destroys the credential's entry with all its versions. It is
// for a credential that was revoked for good; doing it again is no error.
func (s *Secrets) DeleteCredential(ctx context.Context, credentialID string) error {
	if !validID(credentialID) || credentialID == decoyID {
		return errCredentialID
	}
	return gone(s.client.do(ctx, request{
		operation: "delete-entry", method: http.MethodDelete, path: s.path("metadata", credentialID),
	}, nil))
}

// gone takes it for done that there is nothing to delete.
func gone(err error) error {
	if errors.Is(err, errAbsent) {
		return nil
	}
	return err
}

// Decoy returns what costs Verify what a true secret costs and is of none; it
// makes the entry that is read for it. What it returns with an error is good as
// well: reading what is not there is hardly less work.
func (s *Secrets) Decoy(ctx context.Context) (encoded string, err error) {
	encoded = s.decoy.String()
	newest, err := s.newest(ctx, decoyID)
	if err != nil || newest > 0 {
		return encoded, err
	}
	_, err = s.write(ctx, &s.decoy, rand.Text(), 0)
	if errors.Is(err, ErrConflict) { // another replica made it
		err = nil
	}
	return encoded, err
}

func (s *Secrets) path(kind, id string) string {
	return s.client.options.Mount + "/" + kind + "/agentidp/credentials/" + id
}
