package main

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/zclconf/go-cty/cty"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

var nestings = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle, "list": tfprotov6.SchemaNestedBlockNestingModeList,
	"set": tfprotov6.SchemaNestedBlockNestingModeSet, "map": tfprotov6.SchemaNestedBlockNestingModeMap,
}

// block writes a body as the protocol has it.
func block(body *schema.Body) *tfprotov6.SchemaBlock {
	b := &tfprotov6.SchemaBlock{}
	for name, line := range body.Attributes {
		b.Attributes = append(b.Attributes, attribute(name, schema.Mode(line), schema.TypeOf(line)))
	}
	for name, object := range body.Objects {
		b.Attributes = append(b.Attributes, attribute(name, object.Mode, body.AttributeTypes()[name]))
	}
	for name, inner := range body.Blocks {
		nested := &tfprotov6.SchemaNestedBlock{TypeName: name, Block: block(&inner.Body), Nesting: nestings[inner.Nesting], MaxItems: int64(inner.Max)}
		if inner.Mode == "required" {
			nested.MinItems = 1
		}
		b.BlockTypes = append(b.BlockTypes, nested)
	}
	return b
}

func attribute(name, mode string, of cty.Type) *tfprotov6.SchemaAttribute {
	return &tfprotov6.SchemaAttribute{
		Name: name, Type: typeOf(of), Sensitive: schema.Secret(name),
		Required: mode == "required", Optional: strings.HasPrefix(mode, "optional"), Computed: strings.HasSuffix(mode, "computed"),
	}
}

func typeOf(of cty.Type) tftypes.Type {
	switch {
	case of == cty.String:
		return tftypes.String
	case of == cty.Number:
		return tftypes.Number
	case of == cty.Bool:
		return tftypes.Bool
	case of.IsListType():
		return tftypes.List{ElementType: typeOf(of.ElementType())}
	case of.IsSetType():
		return tftypes.Set{ElementType: typeOf(of.ElementType())}
	case of.IsMapType():
		return tftypes.Map{ElementType: typeOf(of.ElementType())}
	case of.IsObjectType():
		object := tftypes.Object{AttributeTypes: map[string]tftypes.Type{}}
		for name, inner := range of.AttributeTypes() {
			object.AttributeTypes[name] = typeOf(inner)
		}
		return object
	}
	return tftypes.DynamicPseudoType
}
