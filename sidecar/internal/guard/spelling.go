package guard

// Spells reports whether a gateway that loses case and punctuation would take
// the name for the field (lower case, dashes), and whether it is spelt so, but for case.
func Spells(name []byte, field string) (alike, exact bool) {
	f := fold(name)
	return string(f.bytes()) == field, f.exact
}
