// Package policies holds the built-in authorization policy, in Rego v1, with
// its own unit tests and data.
package policies

import "embed"

// Files is the whole policy, as the management API loads it.
//
//go:embed *.rego data.yaml
var Files embed.FS

// Sidecar is the policy without own.rego: an agent's rights over itself exist
// at the management API only. Besides being out of reach at a sidecar, they
// read the request path, and then decisions could be cached only path by path.
//
//go:embed authz.rego authz_test.rego data.yaml
var Sidecar embed.FS
