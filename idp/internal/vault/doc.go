// Package vault keeps what AgentIdP must not keep itself in HashiCorp Vault (or
// OpenBao, which speaks the same protocol): the keyed digests of client secrets
// in KV version 2, and the master key, in KV or wrapped by transit.
//
// Vault is asked with a deadline, by a bounded number of callers, behind a
// circuit breaker. Whatever goes wrong with Vault itself, sealed, slow, gone, a
// token that it no longer takes, is ErrUnavailable: nobody's secret is called
// wrong for it.
//
// The token needs this policy, with the mounts and the key as configured, and
// the rights of Vault's default policy on itself (lookup-self, renew-self):
//
//	path "secret/data/agentidp/*"           { capabilities = ["create", "read", "update"] }
//	path "secret/metadata/agentidp/*"       { capabilities = ["create", "read", "update", "delete"] }
//	path "secret/destroy/agentidp/*"        { capabilities = ["create", "update"] }
//	path "transit/encrypt/agentidp"         { capabilities = ["create", "update"] }
//	path "transit/decrypt/agentidp"         { capabilities = ["update"] }
//	path "transit/rewrap/agentidp"          { capabilities = ["update"] }
package vault
