package vaulttest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// sealed is what a ciphertext stands for.
type sealed struct{ key, plaintext string }

func (d *double) transit(c *call) (reply, *failure) {
	switch {
	case c.is("PUT", "transit/keys/*"):
		d.keys[c.path[2]] = 1
		return reply{}, nil
	case c.is("PUT", "transit/keys/*/rotate"):
		d.keys[c.path[2]]++
		return reply{}, nil
	case !c.is("PUT", "transit/*/*"):
		return reply{}, fail(http.StatusNotFound)
	}
	operation, key := c.path[1], c.path[2]
	if operation == "encrypt" {
		d.keys[key] = max(d.keys[key], 1) // who encrypts makes the key
		return d.encrypted(key, c.text("plaintext")), nil
	}
	if d.keys[key] == 0 {
		return reply{}, fail(http.StatusBadRequest, "encryption key not found")
	}
	kept, known := d.sealedBy[c.text("ciphertext")]
	switch {
	case !strings.HasPrefix(c.text("ciphertext"), "vault:v"):
		return reply{}, fail(http.StatusBadRequest, "invalid ciphertext: no prefix")
	case !known || kept.key != key:
		return reply{}, fail(http.StatusBadRequest, "cipher: message authentication failed")
	case operation == "rewrap":
		return d.encrypted(key, kept.plaintext), nil
	}
	return reply{mount: "transit", data: map[string]any{"plaintext": kept.plaintext}}, nil
}

func (d *double) encrypted(key, plaintext string) reply {
	ciphertext := fmt.Sprintf("vault:v%d:%s", d.keys[key], base64.StdEncoding.EncodeToString([]byte(rand.Text())))
	d.sealedBy[ciphertext] = sealed{key: key, plaintext: plaintext}
	return reply{mount: "transit", data: map[string]any{"ciphertext": ciphertext, "key_version": d.keys[key]}}
}
