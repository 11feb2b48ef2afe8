package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/load"
)

// settings are the flags of one command.
type settings struct {
	name  string
	stdin io.Reader

	url         string
	connections int
	rate        float64
	duration    time.Duration
	warmUp      time.Duration
	rounds      int
	timeout     time.Duration
	want        int
	maxErrors   float64
	json        bool
	ca          string
	insecure    bool

	client, clients, auth string
	resource, scope       string
	token, tokens         string
	bearer                string
	etag                  bool // of key sets only
}

func (s *settings) common(flags *flag.FlagSet) {
	flags.StringVar(&s.url, "url", "", "what to request, http or https")
	flags.IntVar(&s.connections, "connections", 8, "requests in flight; with -rate the most that there may be")
	flags.Float64Var(&s.rate, "rate", 0, "requests a second, at fixed times; latency counts from these; 0: as many as the connections can")
	flags.DurationVar(&s.duration, "duration", 10*time.Second, "length of a round")
	flags.DurationVar(&s.warmUp, "warm-up", time.Second, "load that is not measured, before the first round; 0: none")
	flags.IntVar(&s.rounds, "rounds", 1, "rounds, each with figures of its own")
	flags.DurationVar(&s.timeout, "timeout", 30*time.Second, "for one request")
	flags.IntVar(&s.want, "want", 0, "status that counts as success; 0: any 2xx (and 304 to an ETag)")
	flags.Float64Var(&s.maxErrors, "max-errors", 0.001, "share of requests that may fail before the exit status is 1")
	flags.BoolVar(&s.json, "json", false, "print a result file, which load compare reads")
	flags.StringVar(&s.ca, "ca", "", "PEM file of the certificates to trust; default: the system's")
	flags.BoolVar(&s.insecure, "insecure", false, "trust any certificate")
}

// scenario checks the settings and makes the requests.
func (s *settings) scenario(k kind) (load.Scenario, error) {
	u, err := url.Parse(s.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return load.Scenario{}, misuse{fmt.Errorf("-url must be an absolute http or https URL, not %q", s.url)}
	}
	if u.User != nil {
		return load.Scenario{}, misuse{errors.New("-url must not hold a user")}
	}
	if s.connections < 1 || s.rate < 0 || s.duration <= 0 || s.rounds < 1 || s.warmUp < 0 || s.timeout <= 0 || s.maxErrors < 0 {
		return load.Scenario{}, misuse{errors.New("-connections and -rounds must be at least 1, -duration and -timeout positive, and nothing negative")}
	}
	fill, err := k.prepare(s, u)
	if err != nil {
		return load.Scenario{}, err
	}
	scenario := load.Scenario{Name: s.name, Addr: address(u), Fill: fill, Want: s.want, Timeout: s.timeout}
	if u.Scheme == "https" {
		scenario.TLS, err = s.tls(u)
	}
	return scenario, err
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (s *settings) tls(u *url.URL) (*tls.Config, error) {
	config := &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: s.insecure, MinVersion: tls.VersionTLS12}
	if s.ca == "" {
		return config, nil
	}
	certificates, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, misuse{err}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(certificates) {
		return nil, misuse{fmt.Errorf("%s holds no PEM certificate", s.ca)}
	}
	return config, nil
}

// lines are those of a file that are not empty and no comment; "-" is stdin.
// what they are is for the error.
func (s *settings) lines(path, what string) ([]string, error) {
	in := s.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, misuse{err}
		}
		defer file.Close() // only read
		in = file
	}
	var lines []string
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if len(lines) == 0 {
		return nil, misuse{fmt.Errorf("%s holds no %s", path, what)}
	}
	return lines, nil
}

// oneOrMany takes a value or a file of them, not both.
func (s *settings) oneOrMany(one, many, name string) ([]string, error) {
	switch {
	case one != "" && many != "":
		return nil, misuse{fmt.Errorf("-%[1]s or -%[1]ss, not both", name)}
	case many != "":
		return s.lines(many, name)
	case one != "":
		return []string{one}, nil
	}
	return nil, nil
}
