package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mit = `MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

const beer = `"THE BEER-WARE LICENSE" (Revision 42): <phk@FreeBSD.ORG> wrote this file. As long as you retain this notice you can do whatever you want with this stuff. If we meet some day, and you think this stuff is worth it, you can buy me a beer in return Poul-Henning Kamp`

// A licence beside a linked package counts as the one at the module's top does.
func TestLicencesAreFoundWhereThePackagesAre(t *testing.T) {
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b")
	write(t, filepath.Join(top, "LICENSE"), mit)
	write(t, filepath.Join(deep, "LICENSE.md"), beer)
	write(t, filepath.Join(top, "elsewhere", "LICENSE"), "All rights reserved. Ask my lawyer.\n")
	c := component{name: "m", version: "v1"}
	if err := c.findLicences(top, []string{deep}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.licences, []string{"Beerware", "MIT"}) || len(c.texts) != 2 {
		t.Fatalf("licences %q of %d texts", c.licences, len(c.texts))
	}
	if err := judge([]component{c}); err == nil || !strings.Contains(err.Error(), "Beerware is not allowed") {
		t.Fatalf("judged: %v", err)
	}
}

func TestWhatHasNoKnownLicenceIsRefused(t *testing.T) {
	top := t.TempDir()
	c := component{name: "m", version: "v1"}
	if err := c.findLicences(top, []string{top}); err == nil {
		t.Fatal("nothing there, nothing said")
	}
	write(t, filepath.Join(top, "COPYING"), mit)
	write(t, filepath.Join(top, "LICENSE"), "All rights reserved. Ask my lawyer.\n")
	if err := c.findLicences(top, []string{top}); err == nil {
		t.Fatal("terms that nobody knows were taken")
	}
	if err := judge([]component{{name: "m"}}); err == nil {
		t.Fatal("no licence at all was allowed")
	}
}

func TestNpmLicencesAreJudgedToo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bill.json")
	write(t, file, `{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"metadata":{"component":{"type":"library","name":"page","version":"1"}},"components":[
		{"type":"library","name":"good","version":"1","licenses":[{"license":{"id":"MIT"}}]},
		{"type":"library","name":"either","version":"2","licenses":[{"expression":"(MIT OR SSPL-1.0)"}]},
		{"type":"library","name":"none","version":"3"}]}`)
	read, err := readBill(file)
	if err != nil {
		t.Fatal(err)
	}
	err = judge(read)
	if err == nil || strings.Contains(err.Error(), "good") || !strings.Contains(err.Error(), "either 2: the licence (MIT OR SSPL-1.0)") || !strings.Contains(err.Error(), "none 3 has no licence") {
		t.Fatalf("judged: %v", err)
	}
}

func TestAListThatIsNotWhatWasBuiltFails(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	write(t, page, "before\n<!-- licences -->\nold\n<!-- /licences -->\nafter\n")
	if err := settle(page, []byte("new\n"), false); err == nil {
		t.Fatal("an old list was taken")
	}
	if err := settle(page, []byte("new\n"), true); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(page)
	if err != nil || string(content) != "before\n<!-- licences -->\nnew\n<!-- /licences -->\nafter\n" {
		t.Fatalf("%q, %v", content, err)
	}
	if err := settle(page, []byte("new\n"), false); err != nil {
		t.Fatal(err)
	}
}

func TestComponentsOfSeveralProgramsAreListedOnce(t *testing.T) {
	all := merge([]component{
		{kind: "npm", name: "z", version: "1", licences: []string{"MIT"}, in: []string{"page"}},
		{kind: "golang", name: "m", version: "v1", licences: []string{"MIT"}, in: []string{"a"}},
		{kind: "golang", name: "m", version: "v1", licences: []string{"ISC"}, in: []string{"b"}},
		{kind: "golang", name: "m", version: "v2", licences: []string{"MIT"}, in: []string{"b"}},
	})
	want := "| component | version | licence | in |\n| --- | --- | --- | --- |\n| golang `m` | v1 | ISC, MIT | a, b |\n| golang `m` | v2 | MIT | b |\n| npm `z` | 1 | MIT | page |\n"
	if got := string(table(all)); got != want {
		t.Fatal(got)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
