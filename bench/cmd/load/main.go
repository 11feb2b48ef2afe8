// Load runs one scenario against any URL, so that a deployment, or another
// server, can be measured with the same client.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `Measures one HTTP server in a closed loop.

  load -url http://127.0.0.1:8081/notes -token "$TOKEN"                       an API through the sidecar
  load -url http://127.0.0.1:8080/api/v1/token -client ID:SECRET -form 'grant_type=client_credentials'

`)
		flags.PrintDefaults()
	}
	target := flags.String("url", "", "what to request (http only)")
	token := flags.String("token", "", "bearer token to send")
	client := flags.String("client", "", "client id and secret for HTTP Basic, id:secret")
	form := flags.String("form", "", "form body: makes it a POST")
	want := flags.Int("want", fasthttp.StatusOK, "status that counts as success")
	connections := flags.Int("connections", 8, "requests in flight")
	duration := flags.Duration("duration", 10*time.Second, "how long")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	u, err := url.Parse(*target)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("-url must be an absolute http URL, not %q", *target)
	}
	addr := u.Host
	if u.Port() == "" {
		addr += ":80"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Println(load.Run(ctx, load.Scenario{Name: strings.TrimPrefix(u.Path, "/"), Addr: addr, Want: *want, Fill: func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI(u.RequestURI())
		request.Header.SetHost(u.Host)
		if *token != "" {
			request.Header.Set("Authorization", "Bearer "+*token)
		}
		if *client != "" {
			request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(*client)))
		}
		if *form != "" {
			request.Header.SetMethod(fasthttp.MethodPost)
			request.Header.SetContentType("application/x-www-form-urlencoded")
			request.SetBodyString(*form)
		}
	}}, *connections, *duration))
	return nil
}
