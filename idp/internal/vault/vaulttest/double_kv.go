package vaulttest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// entry is a key of KV version 2. Nothing is pruned: the tests write little.
type entry struct {
	settings map[string]any
	versions []*version // the first is number 1
}

type version struct {
	data      any
	created   time.Time
	hidden    time.Time
	destroyed bool
}

func (v *version) metadata() map[string]any {
	hidden := ""
	if !v.hidden.IsZero() {
		hidden = v.hidden.Format(time.RFC3339Nano)
	}
	return map[string]any{"created_time": v.created.Format(time.RFC3339Nano), "deletion_time": hidden, "destroyed": v.destroyed}
}

func (v *version) withNumber(number int) map[string]any {
	m := v.metadata()
	m["version"], m["custom_metadata"] = number, nil
	return m
}

func (d *double) keyValue(c *call) (reply, *failure) {
	mount, mounted := d.mounts[c.path[0]]
	if !mounted {
		path := strings.Join(c.path, "/")
		return reply{}, fail(http.StatusNotFound, "no handler for route "+strconv.Quote(path)+". route entry not found.")
	}
	name := strings.Join(c.path[min(2, len(c.path)):], "/")
	e := mount[name]
	switch {
	case c.is("GET", "*/config"):
		return reply{mount: "kv", data: map[string]any{"max_versions": 0}}, nil
	case c.is("GET", "*/data/**"):
		return e.read(c)
	case c.is("PUT", "*/data/**"):
		if e == nil {
			e = &entry{settings: map[string]any{}}
		}
		answer, failed := e.write(c)
		if failed == nil {
			mount[name] = e
		}
		return answer, failed
	case c.is("GET", "*/metadata/**"):
		return e.metadata()
	case c.is("PUT", "*/metadata/**"):
		if e == nil {
			e = &entry{}
			mount[name] = e
		}
		e.settings = c.body
		return reply{}, nil
	case c.is("DELETE", "*/metadata/**"):
		delete(mount, name)
		return reply{}, nil
	case e == nil: // nothing to do
		return reply{}, nil
	case c.is("DELETE", "*/data/**"):
		e.versions[len(e.versions)-1].hidden = time.Now()
		return reply{}, nil
	case c.is("PUT", "*/destroy/**"):
		for _, number := range c.body["versions"].([]any) {
			if v := e.at(int(number.(float64))); v != nil {
				v.data, v.destroyed = nil, true
			}
		}
		return reply{}, nil
	}
	return reply{}, fail(http.StatusMethodNotAllowed, "unsupported operation")
}

func (e *entry) at(number int) *version {
	if e == nil || number < 1 || number > len(e.versions) {
		return nil
	}
	return e.versions[number-1]
}

func (e *entry) read(c *call) (reply, *failure) {
	number, _ := strconv.Atoi(c.query("version")) // none: the newest
	if number == 0 && e != nil {
		number = len(e.versions)
	}
	v := e.at(number)
	if v == nil {
		return reply{}, fail(http.StatusNotFound)
	}
	if v.destroyed || !v.hidden.IsZero() {
		return reply{}, &failure{status: http.StatusNotFound, data: map[string]any{"data": nil, "metadata": v.withNumber(number)}}
	}
	return reply{mount: "kv", data: map[string]any{"data": v.data, "metadata": v.withNumber(number)}}, nil
}

func (e *entry) write(c *call) (reply, *failure) {
	options, _ := c.body["options"].(map[string]any)
	newest, given := options["cas"].(float64)
	if !given && e.settings["cas_required"] == true {
		return reply{}, fail(http.StatusBadRequest, "check-and-set parameter required for this call")
	}
	if given && int(newest) != len(e.versions) {
		return reply{}, fail(http.StatusBadRequest, "check-and-set parameter did not match the current version")
	}
	v := &version{data: c.body["data"], created: time.Now().UTC()}
	e.versions = append(e.versions, v)
	return reply{mount: "kv", data: v.withNumber(len(e.versions))}, nil
}

func (e *entry) metadata() (reply, *failure) {
	if e == nil {
		return reply{}, fail(http.StatusNotFound)
	}
	versions := map[string]any{}
	for i, v := range e.versions {
		versions[strconv.Itoa(i+1)] = v.metadata()
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	return reply{mount: "kv", data: map[string]any{
		"cas_required": e.settings["cas_required"], "max_versions": e.settings["max_versions"], "current_version": len(e.versions),
		"created_time": now, "updated_time": now, "custom_metadata": nil, "delete_version_after": "0s", "oldest_version": 0,
		"versions": versions,
	}}, nil
}
