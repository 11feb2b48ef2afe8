package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/shared/token"
)

func viewKey(k issuer.Info) keyView {
	return keyView{
		KID: k.KID, Algorithm: token.Algorithm, Bits: k.Bits, Status: string(k.Status),
		CreatedAt: stamp(k.CreatedAt), ActivateAt: stamp(k.ActivateAt), ActivatedAt: stamp(k.ActivatedAt),
		RotateAt: stamp(k.RotateAt), RetiredAt: stamp(k.RetiredAt), LeavesAt: stamp(k.LeavesAt),
	}
}

// listKeys shows the keys that verify tokens; nothing of a private half exists here.
func (a *API) listKeys(_ context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	list := struct {
		Data        []keyView `json:"data"`
		VerifierKey string    `json:"verifierKey"` // of the audit log's checkpoints
	}{Data: []keyView{}, VerifierKey: a.Log.VerifierKey()}
	for _, k := range a.Keys.List() {
		list.Data = append(list.Data, viewKey(k))
	}
	return c.answer(http.StatusOK, list)
}

// rotateKey answers with the key that is to sign, or after an emergency signs.
func (a *API) rotateKey(ctx context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	in := revocation.Rotation{Emergency: m.boolean("emergency"), Reason: or(m.text("reason"))}
	if in.Reason != "" && !in.Emergency {
		m.breaks("reason", "is for an emergency")
	}
	if err := m.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	key, replayed, err := a.Revocation.RotateKey(ctx, actor, in)
	if err != nil {
		return err
	}
	info, err := a.Keys.Info(key)
	if err != nil {
		return err
	}
	c.replayed(replayed)
	return c.answer(http.StatusAccepted, viewKey(info))
}
