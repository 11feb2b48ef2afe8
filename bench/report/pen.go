package report

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/dop251/goja"
)

//go:embed web/dom.min.js
var domJS string

// pen draws charts without a browser, by the scripts of the page.
type pen struct {
	draw goja.Callable
	vm   *goja.Runtime
}

func newPen() (*pen, error) {
	vm := goja.New()
	for _, script := range []struct{ name, text string }{{"dom.min.js", domJS}, {"plot.min.js", plotJS}, {"draw.js", drawJS}} {
		if _, err := vm.RunScript(script.name, script.text); err != nil {
			return nil, fmt.Errorf("loading %s: %w", script.name, err)
		}
	}
	function, err := vm.RunString(`((chart, theme) => picture(JSON.parse(chart), DOM.document, theme))`)
	if err != nil {
		return nil, fmt.Errorf("loading the charts: %w", err)
	}
	draw, _ := goja.AssertFunction(function)
	return &pen{draw: draw, vm: vm}, nil
}

// svg is a file of its own, with light and dark colours.
func (p *pen) svg(c chart) (string, error) {
	spec, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	out, err := p.draw(goja.Undefined(), p.vm.ToValue(string(spec)), p.vm.ToValue(themeCSS))
	if err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}
