package result

// Row finds a row by its Key; nil if there is none.
func (f *File) Row(key string) *Row {
	for i := range f.Rows {
		if f.Rows[i].Key() == key {
			return &f.Rows[i]
		}
	}
	return nil
}

// Ratios divides the rows' figures round by round: neighbours in time. Rounds in
// which either has none, or the divisor is 0, are left out.
func Ratios(of, to Row, m Metric) []float64 {
	return RatiosOf(of, to, m, m)
}

// RatiosOf is Ratios of two metrics.
func RatiosOf(of, to Row, m, by Metric) []float64 {
	var ratios []float64
	for i := range min(len(of.Rounds), len(to.Rounds)) {
		a, has := of.Rounds[i][m]
		b, also := to.Rounds[i][by]
		if has && also && b != 0 {
			ratios = append(ratios, a/b)
		}
	}
	return ratios
}
