// Package docs carries the API description inside the binary.
package docs

import _ "embed"

// OpenAPI is openapi.yaml: the contract of every HTTP operation. Callers must not change it.
//
//go:embed openapi.yaml
var OpenAPI []byte
