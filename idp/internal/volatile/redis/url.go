package redis

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// target is a parsed URL.
type target struct {
	kind             string // "", "sentinel" or "cluster"
	addrs            []string
	socket           string // unix only
	user, password   string
	master           string // sentinel only
	sentinelPassword string
	db               int
	tls              bool
	budget           time.Duration  // of a question; not from the URL
	authorities      *x509.CertPool // nil: the system's; not from the URL
}

// parseURL reads the forms of Options.URL. Its errors never repeat a part of
// the URL that may hold a password.
func parseURL(text string) (target, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return target{}, errors.New("must start with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://")
	}
	t := target{}
	base, kind, _ := strings.Cut(scheme, "+")
	t.kind, t.tls = kind, base == "rediss"
	if base == "unix" && kind == "" {
		return t, t.parseSocket(rest)
	}
	if (base != "redis" && base != "rediss") || (scheme != base && kind != "sentinel" && kind != "cluster") {
		return target{}, errors.New("unknown scheme: redis, rediss, unix, redis+sentinel, redis+cluster, rediss+sentinel and rediss+cluster are known")
	}
	authority, rest := split(rest, "/?")
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		if err := t.parseUser(authority[:at]); err != nil {
			return target{}, err
		}
	}
	if err := t.parseHosts(hosts); err != nil {
		return target{}, err
	}
	return t, t.parsePath(rest)
}

// split cuts before the first of the characters.
func split(s, characters string) (before, after string) {
	if i := strings.IndexAny(s, characters); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func (t *target) parseUser(text string) (err error) {
	user, password, found := strings.Cut(text, ":")
	if !found {
		return errors.New("what stands before the @ must be user:password or :password")
	}
	if t.user, err = url.PathUnescape(user); err != nil {
		return errors.New("user is not percent-encoded properly")
	}
	if t.password, err = url.PathUnescape(password); err != nil {
		return errors.New("password is not percent-encoded properly")
	}
	if t.user != "" && t.password == "" {
		return errors.New("a user needs a password")
	}
	return nil
}

func (t *target) parseHosts(hosts string) error {
	port := "6379"
	if t.kind == "sentinel" {
		port = "26379"
	}
	for i, host := range strings.Split(hosts, ",") {
		u := url.URL{Host: host}
		name, number := u.Hostname(), u.Port()
		if number == "" {
			number = port
		}
		n, err := strconv.ParseUint(number, 10, 16)
		wrapped := strings.HasPrefix(host, "[") || !strings.Contains(name, ":")
		if name == "" || err != nil || n == 0 || !wrapped || strings.ContainsAny(name, " @%\\#") || strings.HasSuffix(host, ":") {
			return fmt.Errorf("host %d of %d is not host:port (IPv6 in brackets; a password's special characters percent-encoded)", i+1, strings.Count(hosts, ",")+1)
		}
		t.addrs = append(t.addrs, net.JoinHostPort(name, number))
	}
	if t.kind == "" && len(t.addrs) > 1 {
		return errors.New("several hosts need redis+sentinel:// or redis+cluster://")
	}
	return nil
}

// parsePath reads /db, /master/db and the query.
func (t *target) parsePath(text string) error {
	text, query := split(text, "?")
	segments := strings.FieldsFunc(text, func(r rune) bool { return r == '/' })
	if t.kind == "sentinel" {
		if len(segments) == 0 {
			return errors.New("the name of the master is missing: redis+sentinel://host,host/master")
		}
		t.master, segments = segments[0], segments[1:]
	}
	if len(segments) > 1 {
		return errors.New("the path has too many parts")
	}
	if len(segments) == 1 {
		if err := t.parseDB(segments[0]); err != nil {
			return err
		}
	}
	return t.parseQuery(query)
}

func (t *target) parseDB(text string) (err error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return errors.New("the database must be a number from 0 to 65535")
	}
	if t.db = int(n); t.db != 0 && t.kind == "cluster" {
		return errors.New("a cluster has database 0 only")
	}
	return nil
}

func (t *target) parseQuery(text string) error {
	values, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	if err != nil {
		return errors.New("the query is not encoded properly")
	}
	for name, value := range values {
		switch {
		case name == "sentinel_password" && t.kind == "sentinel" && len(value) == 1:
			t.sentinelPassword = value[0]
		case name == "db" && t.socket != "" && len(value) == 1:
			if err := t.parseDB(value[0]); err != nil {
				return err
			}
		default:
			return errors.New("the query may have sentinel_password, with redis+sentinel, or db, with unix, once")
		}
	}
	return nil
}

func (t *target) parseSocket(rest string) error {
	rest, query := split(rest, "?")
	if user, socket, found := strings.Cut(rest, "@"); found {
		rest = socket
		if err := t.parseUser(user); err != nil {
			return err
		}
	}
	if !path.IsAbs(rest) {
		return errors.New("unix:// needs an absolute path: unix:///run/redis.sock")
	}
	t.socket = rest
	return t.parseQuery(query)
}
