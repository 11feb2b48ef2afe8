package main

import (
	"encoding/json"
	"fmt"
)

// dashboard is a page of panels: numbers on top, graphs below, in their order.
type dashboard struct {
	UID, Title, Description string
	Stats, Graphs           []panel
}

// panel shows one thing. What it says must be found in its description.
type panel struct {
	Title, Description string
	Unit               string  // Grafana's id: s, bytes, reqps, percentunit, short
	Warn, Bad          float64 // thresholds; both 0: none. Bad below Warn: low is bad
	Queries            []query
}

type query struct{ Expr, Legend string }

func q(expr, legend string) query { return query{expr, legend} }

// rates are the events of a second, by a label or, without one, all.
func rates(metric, label string) query {
	if label == "" {
		return q(fmt.Sprintf("sum(rate(%s[$__rate_interval]))", metric), metric)
	}
	return q(fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval]))", label, metric), "{{"+label+"}}")
}

// quantile is of a histogram, given with its labels if any.
func quantile(of float64, histogram, labels, legend string) query {
	return q(fmt.Sprintf("histogram_quantile(%g, sum by (le) (rate(%s_bucket%s[$__rate_interval])))", of, histogram, labels), legend)
}

// share is hits of all.
func share(hits, misses, legend string) query {
	rate := func(metric string) string { return fmt.Sprintf("sum(rate(%s[$__rate_interval]))", metric) }
	return q(fmt.Sprintf("%s / (%s + %s)", rate(hits), rate(hits), rate(misses)), legend)
}

const (
	columns    = 24
	statSize   = 4 // wide and high
	graphSize  = 8
	schema     = 39 // Grafana 10 and later
	green      = "green"
	yellow     = "yellow"
	red        = "red"
	datasource = "${datasource}"
)

type object = map[string]any

func (d dashboard) render() ([]byte, error) {
	var panels []object
	place := func(list []panel, size, top int, kind string) (bottom int) {
		perRow := columns / size
		for n := range list {
			at := object{"x": n % perRow * size, "y": top + n/perRow*size, "w": size, "h": size}
			panels = append(panels, list[n].render(len(panels)+1, kind, at))
		}
		return top + (len(list)+perRow-1)/perRow*size
	}
	place(d.Graphs, graphSize, place(d.Stats, statSize, 0, "stat"), "timeseries")
	content, err := json.MarshalIndent(object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"agentidp"},
		"schemaVersion": schema, "editable": false, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
		"time":       object{"from": "now-1h", "to": "now"},
		"templating": object{"list": []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}}},
		"panels":     panels,
	}, "", " ")
	if err != nil {
		return nil, err
	}
	return append(content, '\n'), nil
}

func (p *panel) render(id int, kind string, at object) object {
	source := object{"type": "prometheus", "uid": datasource}
	targets := make([]object, len(p.Queries))
	for n, query := range p.Queries {
		targets[n] = object{"refId": string(rune('A' + n)), "expr": query.Expr, "legendFormat": query.Legend, "datasource": source}
	}
	defaults := object{"unit": p.Unit, "thresholds": object{"mode": "absolute", "steps": p.steps()}}
	options := object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "area"}
	if kind == "timeseries" {
		defaults["min"] = 0
		custom := object{"fillOpacity": 10, "showPoints": "never", "spanNulls": true}
		if p.Warn != p.Bad {
			custom["thresholdsStyle"] = object{"mode": "dashed"}
		}
		defaults["custom"] = custom
		options = object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	}
	return object{
		"id": id, "type": kind, "title": p.Title, "description": p.Description, "gridPos": at, "datasource": source,
		"targets": targets, "fieldConfig": object{"defaults": defaults, "overrides": []object{}}, "options": options,
	}
}

// steps are the colours from below upwards.
func (p *panel) steps() []object {
	step := func(colour string, from any) object { return object{"color": colour, "value": from} }
	switch {
	case p.Warn == p.Bad:
		return []object{step(green, nil)}
	case p.Bad < p.Warn:
		return []object{step(red, nil), step(yellow, p.Bad), step(green, p.Warn)}
	}
	return []object{step(green, nil), step(yellow, p.Warn), step(red, p.Bad)}
}
