package httpapi

import (
	"context"
	"net/http"

	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/shared/token"
)

func viewKey(k issuer.Info) keyView {
	return keyView{
		KID: k.KID, Algorithm: token.Algorithm, Bits: k.Bits, Status: string(k.Status),
		CreatedAt: stamp(k.CreatedAt), ActivatedAt: stamp(k.ActivatedAt), RetiredAt: stamp(k.RetiredAt),
	}
}

// listKeys shows the keys that verify tokens; nothing of a private half exists here.
func (a *API) listKeys(_ context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	list := struct {
		Data []keyView `json:"data"`
	}{Data: []keyView{}}
	for _, k := range a.Keys.List() {
		list.Data = append(list.Data, viewKey(k))
	}
	return c.answer(http.StatusOK, list)
}
