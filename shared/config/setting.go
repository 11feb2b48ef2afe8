package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one tagged field of the struct.
type setting struct {
	name     string // DATA_DIR
	key      string // data_dir, also in problems
	variable string // DATABASE_URL if the environment name takes no prefix
	usage    string
	secret   bool
	kind     string // for flags and messages: string, bool, int, number, duration, list, prefixes, value
	value    reflect.Value
	path     reflect.Value // zero unless a field is to learn the file's path
}

// env is the variable's whole name under the prefix.
func (s setting) env(prefix string) string {
	if s.variable != "" {
		return s.variable
	}
	return prefix + s.name
}

// flag is the flag's name without dashes, "" for a secret.
func (s setting) flag() string {
	if s.secret {
		return ""
	}
	return strings.ReplaceAll(s.key, "_", "-")
}

// settingsOf lists the settings of a pointer to a struct in field order. An
// error here is a mistake in the program, not in its configuration.
func settingsOf(dst any) ([]setting, error) {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: %T is not a pointer to a struct", dst)
	}
	var settings []setting
	if err := collect(v.Elem(), &settings); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, s := range settings {
		names := []string{s.key}
		if s.secret {
			names = append(names, s.key+"_file")
		}
		for _, name := range names {
			if seen[name] {
				return nil, fmt.Errorf("config: two settings are named %s", name)
			}
			seen[name] = true
		}
	}
	return settings, paths(v.Elem(), settings)
}

// paths finds the fields that learn where a secret came from.
func paths(v reflect.Value, settings []setting) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		of := field.Tag.Get("fileof")
		if of == "" {
			continue
		}
		at := slices.IndexFunc(settings, func(s setting) bool { return s.name == of && s.secret })
		if at < 0 || !field.IsExported() || field.Type.Kind() != reflect.String {
			return fmt.Errorf("config: field %s must be an exported string, its fileof the name of a secret", field.Name)
		}
		settings[at].path = v.Field(i)
	}
	return nil
}

func collect(v reflect.Value, settings *[]setting) error {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, variable := field.Tag.Get("config"), field.Tag.Get("env")
		if name == "" {
			name = variable
		}
		switch {
		case name != "" && !field.IsExported():
			return fmt.Errorf("config: field %s is not exported", field.Name)
		case name != "":
			s := setting{
				name: name, key: strings.ToLower(name), variable: variable,
				usage: field.Tag.Get("usage"), secret: field.Tag.Get("secret") == "true",
				kind: kindOf(value), value: value,
			}
			if s.kind == "" || s.secret && s.kind != "string" {
				return fmt.Errorf("config: field %s has the unsupported type %s", field.Name, field.Type)
			}
			*settings = append(*settings, s)
		case field.IsExported() && field.Type.Kind() == reflect.Struct:
			if err := collect(value, settings); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixesType = reflect.TypeFor[[]netip.Prefix]()
	stringsType  = reflect.TypeFor[[]string]()
)

// kindOf is "" for a type that is not supported.
func kindOf(v reflect.Value) string {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return "value"
	}
	switch v.Type() {
	case durationType:
		return "duration"
	case prefixesType:
		return "prefixes"
	case stringsType:
		return "list"
	}
	switch v.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64:
		return "int"
	case reflect.Float64:
		return "number"
	default:
		return ""
	}
}

// list reports whether the setting takes several values.
func (s setting) list() bool { return s.kind == "list" || s.kind == "prefixes" }

// parse stores the raw values (one, or a list's) and answers "" or the rule
// they break. It never repeats a secret.
func (s setting) parse(raw []string) string {
	if s.list() {
		if len(raw) == 1 {
			raw = strings.Split(raw[0], ",")
		}
		return s.parseList(raw)
	}
	if len(raw) != 1 {
		return "must be one value, not a list"
	}
	rule := s.parseOne(raw[0])
	if rule != "" && !s.secret {
		rule += fmt.Sprintf(", not %.80q", raw[0])
	}
	return rule
}

func (s setting) parseOne(raw string) string {
	if u, ok := s.value.Addr().Interface().(encoding.TextUnmarshaler); ok {
		fresh := reflect.New(s.value.Type())
		if fresh.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(raw)) != nil {
			return fmt.Sprintf("must be a valid %s", strings.TrimPrefix(fmt.Sprintf("%T", u), "*"))
		}
		s.value.Set(fresh.Elem())
		return ""
	}
	switch s.kind {
	case "duration":
		d, err := duration(raw)
		if err != nil {
			return "must be a duration such as 90s or 15m"
		}
		s.value.SetInt(int64(d))
	case "string":
		s.value.SetString(raw)
	case "bool":
		b, err := strconv.ParseBool(raw)
		if err != nil {
			return "must be true or false"
		}
		s.value.SetBool(b)
	case "int":
		n, err := strconv.ParseInt(raw, 10, s.value.Type().Bits())
		if err != nil {
			return "must be a whole number"
		}
		s.value.SetInt(n)
	case "number":
		f, err := strconv.ParseFloat(raw, 64)
		if err != nil || f != f {
			return "must be a number"
		}
		s.value.SetFloat(f)
	}
	return ""
}

// duration reads Go's form, or a bare number of seconds.
func duration(raw string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(raw, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(raw)
}

// parseList trims the items and leaves out empty ones.
func (s setting) parseList(raw []string) string {
	items := make([]string, 0, len(raw))
	for _, item := range raw {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	if s.kind == "list" {
		s.value.Set(reflect.ValueOf(items))
		return ""
	}
	prefixes := make([]netip.Prefix, len(items))
	for i, item := range items {
		prefix, err := addressRange(item)
		if err != nil {
			return fmt.Sprintf("must list addresses or ranges such as 10.0.0.0/8, not %.80q", item)
		}
		prefixes[i] = prefix
	}
	s.value.Set(reflect.ValueOf(prefixes))
	return ""
}

// addressRange reads a range, or an address as the range of it alone.
func addressRange(raw string) (netip.Prefix, error) {
	if strings.Contains(raw, "/") {
		prefix, err := netip.ParsePrefix(raw)
		return prefix.Masked(), err
	}
	address, err := netip.ParseAddr(raw)
	if err != nil {
		return netip.Prefix{}, err
	}
	address = address.Unmap().WithZone("")
	return netip.PrefixFrom(address, address.BitLen()), nil
}
