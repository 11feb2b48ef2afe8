// Server is an API that verifies tokens itself, without a sidecar: on net/http,
// with revocations from the issuer's status lists.
//
//	AGENTIDP_URL=… server http://127.0.0.1:9000 127.0.0.1:9000
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sentryagent/agentidp/sdk/go/verify"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: server RESOURCE ADDRESS")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Getenv("AGENTIDP_URL"), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, issuer, resource, address string) error {
	verifier, err := verify.New(verify.Options{Issuer: issuer, Audience: resource, Revocation: verify.StatusLists()})
	if err != nil {
		return err
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context()) // there is one: Middleware let it through
		fmt.Fprintln(w, "hello,", claims.Subject)
	})
	routes := http.NewServeMux()
	routes.Handle("GET /hello", verify.Require("notes:read", hello))
	listener, err := net.Listen("tcp", address) //nolint:noctx // at once
	if err != nil {
		return err
	}
	fmt.Fprintln(out, listener.Addr())
	server := &http.Server{Handler: verifier.Middleware(routes), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}
