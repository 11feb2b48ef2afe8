package command

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const healthWithin = 4 * time.Second

// Probe is what health asks of the process beside it: path at the address that
// the variable Addr names, over TLS where the variable Cert is set.
type Probe struct {
	Addr, Default string
	Cert          string // "": never TLS
	Path          string
}

// Health makes the command that a container's health check runs: an image
// without a shell has nothing else to ask with.
func Health(process Process, probe Probe) *cobra.Command {
	cmd := &cobra.Command{Use: "health", Short: "Ask the one that runs beside it whether it is well, for health checks of containers", Args: noArguments}
	cmd.Long = fmt.Sprintf("Health gets %s at %s and is done when the answer is 200. A certificate is not verified: it names\nthe public host, and this is a call to loopback or to the process's own address.", probe.Path, probe.Addr)
	url := cmd.Flags().String("url", "", "URL to get, where the environment does not say the address")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *url == "" {
			*url = probe.url(process.Environ)
		}
		return ask(cmd.Context(), *url)
	}
	return cmd
}

func (p Probe) url(environ []string) string {
	addr, scheme := p.Default, "http"
	for _, pair := range environ {
		switch name, value, _ := strings.Cut(pair, "="); {
		case name == p.Addr && value != "":
			addr = value
		case p.Cert != "" && name == p.Cert && value != "":
			scheme = "https"
		}
	}
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return scheme + "://" + addr + p.Path
}

func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	// No proxy of the environment: it would ask its own loopback.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // no secret is sent, and only the status is read
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("not well: %w", err)
	}
	if err := answer.Body.Close(); err != nil {
		return fmt.Errorf("not well: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not well: %s answers %s", url, answer.Status)
	}
	return nil
}
