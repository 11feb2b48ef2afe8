package agentidp

import "context"

// KeyList is every signing key, the one that signs first, and the key of the
// audit log's checkpoints.
type KeyList struct {
	Data        []Key  `json:"data"`
	VerifierKey string `json:"verifierKey"` // as C2SP signed-note has it
}

// Key is a signing key: public facts only.
type Key struct {
	KID         string    `json:"kid"`
	Alg         string    `json:"alg"`
	Bits        int       `json:"bits"`
	Status      KeyStatus `json:"status"`
	CreatedAt   Time      `json:"createdAt"`
	ActivateAt  *Time     `json:"activateAt,omitempty"` // when a next key is to sign
	ActivatedAt *Time     `json:"activatedAt,omitempty"`
	RotateAt    *Time     `json:"rotateAt,omitempty"` // in the list: when the active key gives way
	RetiredAt   *Time     `json:"retiredAt,omitempty"`
	LeavesAt    *Time     `json:"leavesAt,omitempty"` // in the list: when a retired key leaves the JWKS
}

// KeyStatus is what a key does.
type KeyStatus string

// The statuses: published, signing, verifying only.
const (
	KeyNext    KeyStatus = "next"
	KeyActive  KeyStatus = "active"
	KeyRetired KeyStatus = "retired"
)

// KeyRotation lets another key sign.
type KeyRotation struct {
	Emergency bool   `json:"emergency,omitempty"` // revoke the key that signs and every token it signed
	Reason    string `json:"reason,omitempty"`    // of an emergency, for the audit log
}

// Keys lists the signing keys.
func (c *Client) Keys(ctx context.Context) (list KeyList, err error) {
	err = c.do(ctx, get("/api/v1/keys", nil), &list)
	return list, err
}

// RotateKey gives the key that is to sign or, in an emergency, signs from now on.
func (c *Client) RotateKey(ctx context.Context, rotation KeyRotation) (key Key, err error) {
	err = c.do(ctx, post("/api/v1/keys/rotate", rotation), &key)
	return key, err
}
