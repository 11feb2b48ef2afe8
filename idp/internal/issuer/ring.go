package issuer

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/token"
)

// RetiredGrace is how long a retired key still verifies: the longest token
// lifetime, an hour, and as much again for clocks.
const RetiredGrace = 2 * time.Hour

// ring is the immutable set of keys between two reloads.
type ring struct {
	keys   []*key // those that verify: active, next, retired
	active *key   // the one that signs; nil before the first
	set    *token.KeySet
	jwks   []byte
	etag   string
}

// Info describes a key that verifies tokens.
type Info struct {
	KID         string
	Status      store.KeyStatus
	Bits        int
	CreatedAt   time.Time
	ActivateAt  time.Time // when a next key is to sign
	ActivatedAt time.Time // zero: never
	RetiredAt   time.Time // zero: never
	// Of List alone, and zero where nothing is known to come.
	RotateAt time.Time // when the active key gives way
	LeavesAt time.Time // when a retired key leaves the JWKS
}

// List describes the keys of the JWKS, in its order.
func (i *Issuer) List() []Info {
	keys := i.ring.Load().keys
	list := make([]Info, len(keys))
	for n, k := range keys {
		list[n] = k.info()
	}
	i.schedule.foretell(list, i.now())
	return list
}

// Info describes a row of the store.
func (i *Issuer) Info(row store.Key) (Info, error) {
	k, err := i.reopen(row, i.ring.Load())
	if err != nil {
		return Info{}, err
	}
	return k.info(), nil
}

func (k *key) info() Info {
	return Info{
		KID: k.row.ID, Status: k.row.Status, Bits: k.public.N.BitLen(), CreatedAt: k.row.CreatedAt,
		ActivateAt: k.row.ActivateAt, ActivatedAt: k.row.ActivatedAt, RetiredAt: k.row.RetiredAt,
	}
}

var statusOrder = []store.KeyStatus{store.KeyActive, store.KeyNext, store.KeyRetired}

// build opens the rows, taking from previous what is open already.
func (i *Issuer) build(rows []store.Key, previous *ring) (*ring, error) {
	r := &ring{}
	for _, row := range rows {
		if row.Status == store.KeyRetired && !i.now().Before(row.RetiredAt.Add(RetiredGrace)) {
			continue
		}
		k, err := i.reopen(row, previous)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
		if row.Status == store.KeyActive && (r.active == nil || row.ActivatedAt.After(r.active.row.ActivatedAt)) {
			r.active = k
		}
	}
	slices.SortStableFunc(r.keys, func(a, b *key) int {
		return slices.Index(statusOrder, a.row.Status) - slices.Index(statusOrder, b.row.Status)
	})
	return r, r.publish()
}

func (i *Issuer) reopen(row store.Key, previous *ring) (*key, error) {
	if previous != nil {
		for _, k := range previous.keys {
			if k.row.ID == row.ID && bytes.Equal(k.row.Sealed, row.Sealed) && bytes.Equal(k.row.Public, row.Public) {
				reused := *k
				reused.row = row
				return &reused, nil
			}
		}
	}
	return i.openKey(row)
}

// publish computes what the JWKS endpoint serves.
func (r *ring) publish() error {
	document := token.JWKS{Keys: make([]token.JWK, len(r.keys))}
	public := make([]*rsa.PublicKey, len(r.keys))
	for n, k := range r.keys {
		document.Keys[n], public[n] = token.PublicJWK(k.public), k.public
	}
	body, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("key set: %w", err)
	}
	sum := sha256.Sum256(body)
	r.set, r.jwks, r.etag = token.NewKeySet(public...), body, `"`+hex.EncodeToString(sum[:16])+`"`
	return nil
}
