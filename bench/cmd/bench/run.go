package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/bench/growth"
	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/report"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/scenario"
	"github.com/sentryagent/agentidp/bench/target"
)

func run(ctx context.Context, o options) (err error) {
	f := &result.File{Schema: result.Schema, Started: time.Now().UTC(), Commit: commit(), Machine: machine()}
	l, err := lab.Open(ctx, o.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	f.Settings = result.Settings{Store: o.Store, Rounds: o.rounds, RoundSeconds: o.slice.Seconds(), ServerCores: l.Servers, LoadCores: l.Others}
	if f.Settings.Signer, err = signer(ctx, l); err != nil {
		return err
	}
	p := newProgress(os.Stderr, time.Now)
	rows, failures := measure(ctx, o, l, p)
	p.done()
	f.Rows, f.Seconds = rows, time.Since(f.Started).Seconds()
	f.Targets = append(target.All(f), growth.Targets(f.Rows)...)
	writeTable(os.Stdout, f)
	return errors.Join(failures, ctx.Err(), save(o, f))
}

// signer names the backend as the IdP itself does, which must be the one that
// was asked for: ten minutes of another would be worth nothing.
func signer(ctx context.Context, l *lab.Lab) (string, error) {
	page, err := lab.ReadMetrics(ctx, l.IdP)
	if err != nil {
		return "", err
	}
	return l.Options.Signs(page)
}

// measure runs the scenarios. One that fails leaves a row that says why, and the
// others run.
func measure(ctx context.Context, o options, l *lab.Lab, p *progress) (rows []result.Row, failures error) {
	r := &scenario.Run{Lab: l, Rounds: o.rounds, Slice: o.slice, Quick: o.quick, Say: p.measured, Note: p.note, Profile: o.profile}
	for _, s := range o.scenarios() {
		if ctx.Err() != nil || o.only != nil && !slices.Contains(o.only, s.Name) {
			continue
		}
		p.begin(s)
		measured, err := s.Measure(ctx, r)
		rows = append(rows, measured...)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%s: %w", s.Name, err)
			p.note("%v", err)
			failures = errors.Join(failures, err)
			rows = append(rows, result.Row{Scenario: s.Name, Subject: "scenario", Rounds: []result.Sample{}, Invalid: err.Error()})
			l.Unsettle()
		}
	}
	return rows, failures
}

// save writes the result, and what is drawn from it.
func save(o options, f *result.File) error {
	path := o.out
	if path == "" {
		path = filepath.Join("results", f.Started.Format(time.DateOnly)+".json")
	}
	if err := write(path, f.Write); err != nil {
		return err
	}
	fmt.Println("written:", path)
	page := strings.TrimSuffix(path, filepath.Ext(path)) + ".html"
	if err := write(page, func(w io.Writer) error { return report.HTML(w, f) }); err != nil {
		return err
	}
	fmt.Println("written:", page)
	if o.pictures != "" {
		if err := report.Pictures(o.pictures, f); err != nil {
			return err
		}
		fmt.Println("written:", o.pictures)
	}
	if o.markdown == "" {
		return nil
	}
	return saveMarkdown(o.markdown, f)
}

func write(path string, content func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(content(file), file.Close())
}
