package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// login gets a grant in the configured way. It tells Vault's refusal
// (errForbidden, wrong credentials or no rights) from ErrUnavailable.
func (s *session) login(ctx context.Context) (*grant, error) {
	o := s.options
	switch {
	case o.AppRole != nil:
		return s.appRole(ctx, o.AppRole)
	case o.Kubernetes != nil:
		return s.kubernetes(ctx, o.Kubernetes)
	case o.TokenFile != "":
		token, err := secretFile(o.TokenFile)
		if err != nil {
			return nil, refused("token", err)
		}
		return s.adopt(ctx, token)
	default:
		return s.adopt(ctx, o.Token)
	}
}

// refused is a login that nothing but the operator can mend.
func refused(way string, err error) error {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s login: %w", way, err)
	}
	return fmt.Errorf("%w: %s login: %w", errForbidden, way, err)
}

func (s *session) appRole(ctx context.Context, role *AppRole) (*grant, error) {
	secret := role.SecretID
	if role.SecretIDFile != "" {
		var err error
		if secret, err = secretFile(role.SecretIDFile); err != nil {
			return nil, refused("AppRole", err)
		}
	}
	return s.exchange(ctx, "AppRole", path(role.Mount, "approle"), map[string]string{"role_id": role.RoleID, "secret_id": secret})
}

func (s *session) kubernetes(ctx context.Context, k *Kubernetes) (*grant, error) {
	file := k.JWTFile
	if file == "" {
		file = DefaultJWTFile
	}
	jwt, err := secretFile(file)
	if err != nil {
		return nil, refused("Kubernetes", err)
	}
	return s.exchange(ctx, "Kubernetes", path(k.Mount, "kubernetes"), map[string]string{"role": k.Role, "jwt": jwt})
}

// exchange gives Vault a proof of who we are for a token.
func (s *session) exchange(ctx context.Context, way, mount string, proof map[string]string) (*grant, error) {
	stranger, err := s.dialer.client("")
	if err != nil {
		return nil, err
	}
	var got answer
	err = send(ctx, stranger, request{method: http.MethodPut, path: "auth/" + mount + "/login", body: proof}, &got)
	if err == nil && (got.Auth == nil || got.Auth.Token == "") {
		err = errAnswer
	}
	if err != nil {
		return nil, refused(way, err)
	}
	return s.grant(got.Auth)
}

// adopt takes a token that was given to us, and learns how long it is good.
func (s *session) adopt(ctx context.Context, token string) (*grant, error) {
	client, err := s.dialer.client(token)
	if err != nil {
		return nil, err
	}
	var self struct {
		TTL       int64   `json:"ttl"`         // whole seconds
		Expires   *string `json:"expire_time"` // null: never
		Renewable bool    `json:"renewable"`
	}
	if err := send(ctx, client, request{path: "auth/token/lookup-self"}, &self); err != nil {
		return nil, refused("token", err)
	}
	if self.Expires != nil {
		self.TTL = max(self.TTL, 1)
	}
	return s.grant(&authority{Token: token, Seconds: self.TTL, Renewable: self.Renewable})
}

func (s *session) grant(a *authority) (*grant, error) {
	client, err := s.dialer.client(a.Token)
	if err != nil {
		return nil, err
	}
	g := &grant{api: client, made: s.options.Now(), lease: a.lease(), renewable: a.Renewable}
	g.until(g.made, g.lease)
	return g, nil
}
