//go:build images

package compose_test

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

type assertT = assert.CollectT

const top = "../.."

// world is the resolved Compose file and what runs of it.
type world struct {
	Project struct {
		Services map[string]*service
		Networks map[string]struct {
			Ipam struct{ Config []struct{ Subnet string } }
		}
	}
	Images        map[string]image
	dir, programs string
	running       map[string]*process
	roots         map[string]string
}

type service struct {
	Image, User         string
	Entrypoint, Command []string
	Environment         map[string]string
	Volumes             []struct{ Type, Source, Target string }
	Tmpfs               []string
	Networks            map[string]*struct {
		Address string `json:"ipv4_address"`
	}
	Ports []port
	// Needs are the services before it, and what they must have reached.
	Needs map[string]struct{ Condition string } `json:"depends_on"`
	Check *struct{ Test []string }              `json:"healthcheck"`
}

type port struct {
	HostIP    string `json:"host_ip"`
	Target    int
	Published string
}

func (p port) target() string { return strconv.Itoa(p.Target) }

type image struct {
	Copies []struct {
		Chown, Chmod string
		Sources      []string
		To           string
	}
	User                      string
	Entrypoint, Command, Test []string
	Environment               map[string]string
	Volumes                   []string
}

// enter resolves the Compose file with a new .env, makes what the images are
// made of, and runs the test again in namespaces of its own: all that runs there ends with it.
func enter(t *testing.T) {
	require.Zero(t, os.Getuid(), "namespaces and mounts take root")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	programs := commandtest.Build(t, "", nil, "idp/cmd/agentidp", "sidecar/cmd/agentidp-sidecar", "deploy/dev/cmd/notes", "deploy/dev/cmd/enrol")
	run(t, dir, "sh", "-c", "apt-get -qq download ca-certificates && dpkg-deb -x ca-certificates_*.deb deb && cat deb/usr/share/ca-certificates/mozilla/*.crt >ca-certificates.crt")
	run(t, "../images", "sh", "-ec", `set -a; ../compose/secrets `+dir+`/.env; . `+dir+`/.env; AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=10000 GOWORK=off GOFLAGS= go run ./resolve "${IMAGES_TOP:-../..}" >`+dir+`/resolved.json`)
	command := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
		"setpriv", "--no-new-privs", os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), "COMPOSE_WORLD="+dir, "COMPOSE_PROGRAMS="+programs)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	require.NoError(t, command.Run())
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	printed, err := command.CombinedOutput()
	require.NoError(t, err, string(printed))
}

func newWorld(t *testing.T) *world {
	w := &world{dir: os.Getenv("COMPOSE_WORLD"), programs: os.Getenv("COMPOSE_PROGRAMS"), running: map[string]*process{}, roots: map[string]string{}}
	content, err := os.ReadFile(filepath.Join(w.dir, "resolved.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, w))
	run(t, ".", "mount", "-t", "tmpfs", "tmpfs", "/run")
	w.wire(t)
	for name := range w.Project.Services {
		if !slices.Contains(notOurs, name) {
			w.root(t, name)
		}
	}
	return w
}

// wire makes a bridge of each network and a namespace of each service, with names for those it shares a network with.
func (w *world) wire(t *testing.T) {
	script := "set -e; ip link set lo up\n"
	for network := range keys(w.Project.Networks) {
		script += fmt.Sprintf("ip link add br-%[1]s type bridge; ip addr add %[2]s dev br-%[1]s; ip link set br-%[1]s up\n", network, w.host(network, 1)+"/24")
	}
	everybody := "127.0.0.1 localhost\n"
	for i, name := range slices.Sorted(keys(w.Project.Services)) {
		script += fmt.Sprintf("ip netns add %[1]s; ip -n %[1]s link set lo up\n", name)
		hosts := "127.0.0.1 localhost\n"
		for j, network := range slices.Sorted(keys(w.Project.Services[name].Networks)) {
			script += fmt.Sprintf("ip link add v%[1]d-%[2]d type veth peer name eth%[2]d netns %[3]s; ip link set v%[1]d-%[2]d master br-%[4]s up; ip -n %[3]s addr add %[5]s/24 dev eth%[2]d; ip -n %[3]s link set eth%[2]d up\n",
				i, j, name, network, w.address(name, network))
			everybody += w.address(name, network) + " " + name + "\n"
			for other, s := range w.Project.Services {
				if _, on := s.Networks[network]; on {
					hosts += w.address(other, network) + " " + other + "\n"
				}
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, name+".hosts"), []byte(hosts), 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "hosts"), []byte(everybody), 0o644))
	run(t, w.dir, "sh", "-c", script+"mount --bind hosts /etc/hosts")
}

// address is that of a service on a network: the one it is given, else one by its place.
func (w *world) address(name, network string) string {
	if given := w.Project.Services[name].Networks[network]; given != nil && given.Address != "" {
		return given.Address
	}
	return w.host(network, 20+slices.Index(slices.Sorted(keys(w.Project.Services)), name))
}

func (w *world) host(network string, number int) string {
	base := fmt.Sprintf("172.31.%d.", slices.Index(slices.Sorted(keys(w.Project.Networks)), network))
	if config := w.Project.Networks[network].Ipam.Config; len(config) > 0 {
		base = config[0].Subnet[:strings.LastIndex(config[0].Subnet, ".")+1]
	}
	return base + strconv.Itoa(number)
}

// forward does for a published port what the engine does.
func forward(from, to string) error {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(server, client); _ = server.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return nil
}

func environ(variables map[string]string) (pairs []string) {
	for name, value := range variables {
		pairs = append(pairs, name+"="+value)
	}
	return pairs
}

func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
