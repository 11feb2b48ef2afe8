package report

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

// unit is how figures of a metric are written.
type unit int

const (
	plain unit = iota
	micros
	millis
	size
	perSecond
	ratio
)

func unitOf(m result.Metric) unit {
	switch name := string(m); {
	case strings.HasSuffix(name, "_us"):
		return micros
	case strings.HasSuffix(name, "_ms"):
		return millis
	case strings.HasSuffix(name, "_bytes"):
		return size
	case strings.HasSuffix(name, "per_second"), strings.HasSuffix(name, "_rate") && name != string(result.HitRate):
		return perSecond
	default:
		return plain
	}
}

// figure writes three significant digits with the unit that suits the size.
func figure(v float64, u unit) string {
	switch u {
	case micros:
		return scaled(v, 1000, " µs", " ms", " s")
	case millis:
		return scaled(v*1000, 1000, " µs", " ms", " s")
	case size:
		return scaled(v, 1024, " B", " KiB", " MiB", " GiB")
	case perSecond:
		return short(v) + "/s"
	case ratio:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return grouped(v)
	}
}

func scaled(v, step float64, units ...string) string {
	n := 0
	for ; math.Abs(v) >= step*0.9995 && n < len(units)-1; n++ {
		v /= step
	}
	return digits(v) + units[n]
}

// short is 1.2k, 12k, 1.2M.
func short(v float64) string {
	switch {
	case math.Abs(v) >= 999_500:
		return digits(v/1e6) + "M"
	case math.Abs(v) >= 9_995:
		return digits(v/1e3) + "k"
	default:
		return grouped(v)
	}
}

// digits are three significant ones, without a tail of zeros.
func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	after := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', min(after, 4), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// grouped separates thousands: 39,767.
func grouped(v float64) string {
	if math.Abs(v) < 1000 {
		return digits(v)
	}
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	sign, text := text[:len(text)-len(strings.TrimPrefix(text, "-"))], strings.TrimPrefix(text, "-")
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// scale is the axis that holds the values with round ends and few ticks.
func scale(low, high float64, log bool, u unit) axis {
	if log && low > 0 {
		return logScale(low, high, u)
	}
	step := niceStep(high / 5)
	if u == size {
		whole := math.Pow(1024, math.Floor(math.Log(high)/math.Log(1024)))
		step = niceStep(high/5/whole) * whole
	}
	a := axis{High: step * math.Max(1, math.Ceil(high/step*0.9999))}
	for at := 0.0; at <= a.High*1.0001; at += step {
		a.Ticks = append(a.Ticks, tick{at, onAxis(at, u)})
	}
	return a
}

// onAxis leaves the unit to the title, unless it changes along the axis.
func onAxis(v float64, u unit) string {
	if u == perSecond || v == 0 {
		return short(v)
	}
	return figure(v, u)
}

// logScale spans at least a factor of ten, or noise would look like a slope.
func logScale(low, high float64, u unit) axis {
	if high < low*10 {
		middle := math.Sqrt(low * high)
		low, high = math.Min(low, middle/math.Sqrt(10)), math.Max(high, middle*math.Sqrt(10))
	}
	a := axis{Log: true, Low: roundDown(low), High: roundUp(high)}
	factors := []float64{1, 2, 5}
	if high/low > 1e3 {
		factors = factors[:1]
	}
	for decade := math.Pow(10, math.Floor(math.Log10(a.Low))); decade <= a.High*1.0001; decade *= 10 {
		for _, f := range factors {
			if at := decade * f; at >= a.Low*0.9999 && at <= a.High*1.0001 {
				a.Ticks = append(a.Ticks, tick{at, onAxis(at, u)})
			}
		}
	}
	return a
}

// through is an axis whose ticks are the measured values themselves.
func through(label string, values []float64, log bool) axis {
	slices.Sort(values)
	values = slices.Compact(values)
	a := axis{Label: label, Log: log && values[0] > 0, Low: values[0], High: values[len(values)-1]}
	if !a.Log {
		a.Low = 0
	}
	for _, v := range values {
		a.Ticks = append(a.Ticks, tick{v, short(v)})
	}
	return a
}

func niceStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if f*decade >= v*0.9999 {
			return f * decade
		}
	}
	return 10 * decade
}

func roundUp(v float64) float64 { return niceStep(v) }

func roundDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{5, 2} {
		if f*decade <= v*1.0001 {
			return f * decade
		}
	}
	return decade
}
