package report

import (
	"fmt"
	"slices"
)

// chart is what web/draw.js draws. Every text in it is final.
type chart struct {
	ID     string   `json:"id"` // also the picture's file name
	Kind   kind     `json:"kind"`
	Title  string   `json:"title"` // with the unit
	Note   string   `json:"note"`  // how to read it, one sentence
	X      axis     `json:"x"`
	Y      axis     `json:"y,omitzero"`
	Panels []string `json:"panels"` // titles of small multiples with the same axes; one empty title: no multiples
	Series []series `json:"series,omitempty"`
	Marks  []mark   `json:"marks,omitempty"`

	area area
}

type kind string

const (
	lines  kind = "lines"  // series over x
	bars   kind = "bars"   // marks from zero
	limits kind = "limits" // marks by their distance from a bound
)

type axis struct {
	Label string  `json:"label"`
	Log   bool    `json:"log"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Ticks []tick  `json:"ticks"`
}

type tick struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
}

type series struct {
	Name   string  `json:"name"`
	Panel  string  `json:"panel"`
	Colour string  `json:"colour"`
	Dash   string  `json:"dash"` // tells apart what has the same colour
	Dots   bool    `json:"dots"`
	Points []point `json:"points"`
}

// point is a median between the lowest and the highest round.
type point struct {
	X    float64 `json:"x"`
	Y    float64 `json:"y"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	Tip  string  `json:"tip"`
}

type mark struct {
	Name   string    `json:"name"`
	Colour string    `json:"colour"`
	Value  float64   `json:"value"`
	Rounds []float64 `json:"rounds"`
	Label  string    `json:"label"`
	Hollow bool      `json:"hollow"`
	Tip    string    `json:"tip"`
}

// dashes tell series of one colour apart, besides their labels.
var dashes = []string{"", "7 3", "2 3", "9 3 2 3", "4 2", "1 2"}

func dash(n int) string { return dashes[n%len(dashes)] }

// extent is of all series' points, bands included.
func extent(all []series, of func(point) []float64) (low, high float64) {
	var values []float64
	for _, s := range all {
		for _, p := range s.Points {
			values = append(values, of(p)...)
		}
	}
	if len(values) == 0 {
		return 0, 0
	}
	return slices.Min(values), slices.Max(values)
}

func horizontal(p point) []float64 { return []float64{p.X} }

func vertical(p point) []float64 { return []float64{p.Y, p.Low, p.High} }

// spread is the sentence of a tip.
func spread(what string, low, middle, high float64, u unit) string {
	if low == high {
		return fmt.Sprintf("%s\n%s", what, figure(middle, u))
	}
	return fmt.Sprintf("%s\n%s (rounds %s to %s)", what, figure(middle, u), figure(low, u), figure(high, u))
}

// Wide charts take the page's whole width.
func (c chart) Wide() bool { return c.Kind == limits || len(c.Panels) > 1 }
