package obs

import (
	"bytes"
	"io"
	"strings"
)

// exposition is the Prometheus text format as its specification has it: the lines
// of a family stand together, under one line that says its type. What it is made
// of comes from several sets and writers, each of which says so itself, or for
// each of its lines. The help texts are empty there and left out.
type exposition struct {
	order    []*family
	families map[string]*family
}

type family struct {
	name, kind string // kind "": nobody said it
	samples    bytes.Buffer
}

// add takes lines in the order in which somebody wrote them.
func (e *exposition) add(text string) {
	var current *family
	for line := range strings.Lines(text) {
		if comment, is := strings.CutPrefix(line, "# "); is {
			if fields := strings.Fields(comment); len(fields) == 3 && fields[0] == "TYPE" {
				current = e.family(fields[1])
				current.kind = fields[2]
			}
			continue
		}
		if name := line[:strings.IndexAny(line+" ", "{ ")]; current == nil || !current.has(name) {
			current = e.family(name)
		}
		current.samples.WriteString(line)
	}
}

func (e *exposition) family(name string) *family {
	if e.families == nil {
		e.families = make(map[string]*family)
	}
	f := e.families[name]
	if f == nil {
		f = &family{name: name}
		e.families[name], e.order = f, append(e.order, f)
	}
	return f
}

// has reports whether a series by that name is the family's.
func (f *family) has(name string) bool {
	rest, begins := strings.CutPrefix(name, f.name)
	switch {
	case !begins:
		return false
	case rest == "":
		return true
	case f.kind == "histogram":
		return rest == "_bucket" || rest == "_sum" || rest == "_count"
	default:
		return f.kind == "summary" && (rest == "_sum" || rest == "_count")
	}
}

func (e *exposition) write(w io.Writer) {
	var whole bytes.Buffer
	for _, f := range e.order {
		if f.samples.Len() == 0 {
			continue
		}
		if f.kind != "" {
			whole.WriteString("# TYPE " + f.name + " " + f.kind + "\n")
		}
		whole.Write(f.samples.Bytes())
	}
	_, _ = w.Write(whole.Bytes()) // whoever asked may be gone
}
