package syncer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/token"
)

// readSnapshot decodes a snapshot's payload entry by entry: as a whole list
// they would take several times the room of what is kept of them.
func readSnapshot(payload []byte) (head feed.Snapshot, entries revoked, unknown int, err error) {
	entries = newRevoked()
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if err := delimiter(decoder, '{'); err != nil {
		return head, entries, 0, err
	}
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return head, entries, 0, err
		}
		member, _ := name.(string)
		if seen[member] {
			return head, entries, 0, fmt.Errorf("member %q stands there twice", member)
		}
		seen[member] = true
		switch member {
		case "iss":
			err = decoder.Decode(&head.Issuer)
		case "iat":
			err = decoder.Decode(&head.IssuedAt)
		case "epoch":
			err = decoder.Decode(&head.Epoch)
		case "cursor":
			err = decoder.Decode(&head.Cursor)
		case "entries":
			unknown, err = readEntries(decoder, &entries)
		default:
			var ignored json.RawMessage
			err = decoder.Decode(&ignored)
		}
		if err != nil {
			return head, entries, 0, err
		}
	}
	if !seen["entries"] {
		return head, entries, 0, errors.New("it has no entries member")
	}
	return head, entries, unknown, delimiter(decoder, '}')
}

func readEntries(decoder *json.Decoder, entries *revoked) (unknown int, err error) {
	if err := delimiter(decoder, '['); err != nil {
		return 0, err
	}
	for decoder.More() {
		var e feed.Entry
		if err := decoder.Decode(&e); err != nil {
			return 0, err
		}
		if !entries.add(&e) {
			unknown++
		}
	}
	return unknown, delimiter(decoder, ']')
}

func delimiter(decoder *json.Decoder, want json.Delim) error {
	got, err := decoder.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%v where %v must be", got, want)
	}
	return nil
}

// signer reads the kid of a snapshot, to ask for its key and for nothing else.
func signer(raw string) (kid string, ok bool) {
	head, _, found := strings.Cut(raw, ".")
	if !found || len(head) > token.MaxLength {
		return "", false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", false
	}
	var header struct {
		KID string `json:"kid"`
	}
	err = json.Unmarshal(decoded, &header)
	return header.KID, err == nil && header.KID != "" && len(header.KID) <= token.MaxKeyID
}
