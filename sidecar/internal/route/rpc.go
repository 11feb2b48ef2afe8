package route

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/shared/capability"
)

// Protocols whose messages are read.
const (
	MCP = "mcp"
	A2A = "a2a"
)

// RPC says what the messages on a route need.
type RPC struct {
	Protocol string
	needs    map[string]string // the file's, before the protocol's own
}

// nameHole is where a capability takes the name of the tool or prompt.
const nameHole = "{name}"

// Methods that need no more than the route does are "". Every method that
// stands neither here nor in the file needs <protocol>:method/<method>.
var needs = map[string]map[string]string{
	MCP: {
		"initialize": "", "ping": "", "server/discover": "", "logging/setLevel": "",
		"notifications/initialized": "", "notifications/cancelled": "", "notifications/progress": "", "notifications/roots/list_changed": "",
		"tools/list": "", "prompts/list": "", "resources/list": "", "resources/templates/list": "",
		"tools/call": "mcp:tool/" + nameHole, "prompts/get": "mcp:prompt/" + nameHole,
	},
	A2A: { // the names of version 0.3, then those of 1.0
		"message/send": "a2a:message/send", "message/stream": "a2a:message/stream",
		"tasks/get": "a2a:tasks/get", "tasks/list": "a2a:tasks/list", "tasks/cancel": "a2a:tasks/cancel", "tasks/resubscribe": "a2a:tasks/subscribe",
		"tasks/pushNotificationConfig/get": "a2a:tasks/push/get", "tasks/pushNotificationConfig/list": "a2a:tasks/push/list",
		"tasks/pushNotificationConfig/set": "a2a:tasks/push/set", "tasks/pushNotificationConfig/delete": "a2a:tasks/push/delete",
		"agent/getAuthenticatedExtendedCard": "",

		"SendMessage": "a2a:message/send", "SendStreamingMessage": "a2a:message/stream",
		"GetTask": "a2a:tasks/get", "ListTasks": "a2a:tasks/list", "CancelTask": "a2a:tasks/cancel", "SubscribeToTask": "a2a:tasks/subscribe",
		"GetTaskPushNotificationConfig": "a2a:tasks/push/get", "ListTaskPushNotificationConfigs": "a2a:tasks/push/list",
		"CreateTaskPushNotificationConfig": "a2a:tasks/push/set", "DeleteTaskPushNotificationConfig": "a2a:tasks/push/delete",
		"GetExtendedAgentCard": "",
	},
}

// Methods whose params.name says what is called.
var named = []string{"tools/call", "prompts/get"}

// Names reports whether messages of the method name what they call.
func (r *RPC) Names(method string) bool { return r.Protocol == MCP && slices.Contains(named, method) }

// Need is the capability that a message needs besides its route's; "" is none.
// ok is false when no capability can be named after it: nobody may send it.
func (r *RPC) Need(method, name string) (need string, ok bool) {
	if !r.Names(method) {
		name = ""
	} else if len(name) > MaxName {
		return "", false
	} else if need, ok = r.needs[method+" "+name]; ok {
		return need, true
	}
	if need, ok = r.needs[method]; !ok {
		if need, ok = needs[r.Protocol][method]; !ok {
			need = r.Protocol + ":method/" + method
		}
	}
	need, holed := strings.CutSuffix(need, nameHole)
	if holed {
		if name == "" {
			return "", false
		}
		need += name
	}
	if need == "" {
		return "", true
	}
	_, err := capability.Parse(need)
	// A tool cannot be called "*", nor a method: that would name all of them.
	return need, err == nil && (!holed || name != capability.Wildcard)
}

// MaxName bounds what messages name, in bytes: rpcKey takes no more.
const MaxName = 512

// maxNeeds bounds the rpc map of a route.
const maxNeeds = 256

// rpcKey is a method, and perhaps the name that is called by it.
var rpcKey = regexp.MustCompile(`^[!-~]{1,128}( \S.{0,127})?$`)

// rpc reads protocol and rpc of an entry. Its methods are those that the
// protocol has over HTTP; no other has a body that is read.
func (l *loader) rpc(key string, protocol, mapped, methods *yaml.Node, r *Route) {
	if protocol == nil {
		if mapped != nil {
			l.fail(key+".rpc", "needs protocol")
		}
		return
	}
	name := l.text(key+".protocol", protocol)
	if name != MCP && name != A2A {
		l.fail(key+".protocol", "must be %s or %s", MCP, A2A)
		return
	}
	served := []string{"POST"}
	if name == MCP {
		served = []string{"DELETE", "GET", "POST"}
	}
	if methods == nil {
		r.Methods = served
	}
	for _, method := range r.Methods {
		if !slices.Contains(served, method) {
			l.fail(key+".methods", "%s is not one of %s, which %s has", method, strings.Join(served, ", "), name)
		}
	}
	if r.Public() {
		l.fail(key+".capability", "must not be %s: what a message needs is asked of a token", Public)
	}
	r.RPC = &RPC{Protocol: name, needs: l.needs(key+".rpc", mapped, name)}
}

func (l *loader) needs(key string, n *yaml.Node, protocol string) map[string]string {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 || len(n.Content) > 2*maxNeeds {
		l.fail(key, "must be a mapping of 1 to %d methods to capabilities", maxNeeds)
		return nil
	}
	mapped := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		item := key + "." + name
		node := resolve(n.Content[i+1])
		value := l.text(item, node)
		method, called, one := strings.Cut(name, " ")
		holed := strings.HasSuffix(value, nameHole)
		names := protocol == MCP && slices.Contains(named, method)
		_, err := capability.Parse(strings.TrimSuffix(value, nameHole) + strings.Repeat("x", strings.Count(value, nameHole)))
		switch _, again := mapped[name]; {
		case again:
			l.fail(item, "stands twice")
		case !rpcKey.MatchString(name):
			l.fail(item, "must be a method, or a method, a space and the name of a tool or prompt")
		case one && (!names || called == ""), holed && !names:
			l.fail(item, "names are known of %s only", strings.Join(named, " and "))
		case one && holed:
			l.fail(item, "has the name already")
		case node.Tag == "!!str" && err != nil:
			l.fail(item, "must be a capability, after which %s may stand: %v", nameHole, err)
		}
		mapped[name] = value
	}
	return mapped
}
