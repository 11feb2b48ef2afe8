package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

const sensitive = "sensitive"

// computed are the functions whose work is done: their result types follow from
// the arguments, and a bad constant argument is an error.
var computed = map[string]function.Function{
	"abs": stdlib.AbsoluteFunc, "can": tryfunc.CanFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc, "chunklist": stdlib.ChunklistFunc,
	"coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc,
	"contains": stdlib.ContainsFunc, "csvdecode": stdlib.CSVDecodeFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
	"flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc, "format": stdlib.FormatFunc, "formatdate": stdlib.FormatDateFunc,
	"formatlist": stdlib.FormatListFunc, "indent": stdlib.IndentFunc, "join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc,
	"jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "log": stdlib.LogFunc, "lower": stdlib.LowerFunc, "max": stdlib.MaxFunc,
	"merge": stdlib.MergeFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "range": stdlib.RangeFunc,
	"regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc, "reverse": stdlib.ReverseListFunc, "setintersection": stdlib.SetIntersectionFunc,
	"setproduct": stdlib.SetProductFunc, "setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc, "signum": stdlib.SignumFunc,
	"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc, "strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc,
	"timeadd": stdlib.TimeAddFunc, "title": stdlib.TitleFunc, "tobool": stdlib.MakeToFunc(cty.Bool), "tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
	"tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)), "tonumber": stdlib.MakeToFunc(cty.Number), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
	"tostring": stdlib.MakeToFunc(cty.String), "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc,
	"trimsuffix": stdlib.TrimSuffixFunc, "try": tryfunc.TryFunc, "upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
}

// declared are the functions that are known by what they take and return: "result
// argument …", where ? is optional and … any number.
var declared = map[string]string{
	"abspath": "string string", "alltrue": "bool any", "anytrue": "bool any", "base64decode": "string string", "base64encode": "string string",
	"base64gzip": "string string", "base64sha256": "string string", "base64sha512": "string string", "basename": "string string",
	"bcrypt": "string string number?", "cidrhost": "string string number", "cidrnetmask": "string string", "cidrsubnet": "string string number number",
	"cidrsubnets": "list(string) string number…", "dirname": "string string", "endswith": "bool string string", "filebase64": "string string",
	"filebase64sha256": "string string", "filemd5": "string string", "filesha256": "string string", "fileset": "set(string) string string",
	"index": "number any any", "issensitive": "bool any", "length": "number any", "lookup": "any any string any?", "matchkeys": "any any any any", "md5": "string string",
	"one": "any any", "pathexpand": "string string", "plantimestamp": "string", "replace": "string string string string", "rsadecrypt": "string string string",
	"sha1": "string string", "sha256": "string string", "sha512": "string string", "startswith": "bool string string", "strcontains": "bool string string",
	"sum": "number any", "textdecodebase64": "string string string", "textencodebase64": "string string string", "timecmp": "number string string",
	"timestamp": "string", "transpose": "map(list(string)) map(list(string))", "urlencode": "string string", "uuid": "string", "uuidv5": "string string string",
	"yamldecode": "any string", "yamlencode": "string any",
}

// functions are those of the language.
var functions = sync.OnceValue(func() map[string]function.Function {
	all := map[string]function.Function{
		"file":         function.New(&function.Spec{Params: []function.Parameter{{Name: "path", Type: cty.String}}, Type: function.StaticReturnType(cty.String), Impl: readFile}),
		"fileexists":   function.New(&function.Spec{Params: []function.Parameter{{Name: "path", Type: cty.String}}, Type: function.StaticReturnType(cty.Bool), Impl: unknown}),
		"sensitive":    remark(func(v cty.Value) cty.Value { return v.Mark(sensitive) }),
		"nonsensitive": remark(func(v cty.Value) cty.Value { unmarked, _ := v.Unmark(); return unmarked }),
	}
	for name, f := range computed {
		all[name] = f
	}
	for name, line := range declared {
		all[name] = function.New(signature(line))
	}
	all["templatefile"] = function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType, AllowUnknown: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return template(args, all) },
	})
	return all
})

func unknown(_ []cty.Value, result cty.Type) (cty.Value, error) { return cty.UnknownVal(result), nil }

func signature(line string) *function.Spec {
	words := strings.Fields(line)
	spec := &function.Spec{Type: function.StaticReturnType(schema.Type(words[0])), Impl: unknown}
	for _, word := range words[1:] {
		name := strings.TrimRight(word, "?…")
		p := function.Parameter{Name: name, Type: schema.Type(name), AllowNull: true, AllowUnknown: true, AllowDynamicType: true}
		switch {
		case strings.HasSuffix(word, "?"), strings.HasSuffix(word, "…"):
			spec.VarParam = &p
		default:
			spec.Params = append(spec.Params, p)
		}
	}
	return spec
}

func remark(change func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true, AllowDynamicType: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return change(args[0]), nil },
	})
}

func readFile(args []cty.Value, _ cty.Type) (cty.Value, error) {
	text, err := os.ReadFile(args[0].AsString())
	if err != nil {
		return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "no file %s", filepath.Base(args[0].AsString()))
	}
	return cty.StringVal(string(text)), nil
}

// template renders the file, so that a name that it is not given is found.
func template(args []cty.Value, all map[string]function.Function) (cty.Value, error) {
	text, err := readFile(args[:1], cty.String)
	if err != nil {
		return text, err
	}
	if !args[1].IsKnown() || args[1].IsNull() || !args[1].CanIterateElements() {
		return cty.UnknownVal(cty.String), nil
	}
	expression, diagnostics := hclsyntax.ParseTemplate([]byte(text.AsString()), args[0].AsString(), hcl.InitialPos)
	if diagnostics.HasErrors() {
		return cty.UnknownVal(cty.String), function.NewArgError(0, diagnostics)
	}
	result, diagnostics := expression.Value(&hcl.EvalContext{Variables: args[1].AsValueMap(), Functions: all})
	if diagnostics.HasErrors() {
		return cty.UnknownVal(cty.String), function.NewArgError(1, diagnostics)
	}
	return result, nil
}
