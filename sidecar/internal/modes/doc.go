// Package modes holds the test that every way to use the sidecar decides alike:
// as a proxy itself, and asked by nginx, Caddy and Envoy.
package modes
