package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licences of what we hand on, by their SPDX names. All let
// anybody use, change and pass on a program that contains the work, under any
// terms; MPL-2.0 wants changed files of its own to stay public.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unlicense"}

var (
	licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[sc]e|copying)([-._].*)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^(notice|patents)([-._].*)?$`)
)

// known says how much of a licence file has to be text of licences that the
// classifier knows: the rest is names, years and headings.
const known = 75

// read are licence files that are not one licence the classifier knows, and that
// somebody has read: SQLite's dedication to the public domain, lists of what others
// wrote with their licences, which are judged as well, the source of a picture.
var read = []string{
	"modernc.org/libc/LICENSE-3RD-PARTY.md",
	"modernc.org/memory/LICENSE-LOGO",
	"modernc.org/sqlite/LICENSE-3RD-PARTY.md",
	"modernc.org/sqlite/LICENSE-SQLITE",
}

// findLicences reads the licence files from the folders of linked packages up to
// the module's top. There is one at least, and each is a known licence as a whole.
func (c *component) findLicences(top string, folders []string) error {
	seen := map[string]bool{}
	for _, folder := range folders {
		for ; strings.HasPrefix(folder, top) && !seen[folder]; folder = filepath.Dir(folder) {
			seen[folder] = true
			entries, err := os.ReadDir(folder)
			if err != nil {
				return err
			}
			for _, entry := range entries {
				name := entry.Name()
				isLicence := licenceFile.MatchString(name) && filepath.Ext(name) != ".go"
				if entry.IsDir() || !isLicence && !noticeFile.MatchString(name) {
					continue
				}
				text, err := os.ReadFile(filepath.Join(folder, name))
				if err != nil {
					return err
				}
				c.texts = append(c.texts, strings.TrimSpace(string(text)))
				if isLicence && !c.classify(text) && !slices.Contains(read, c.name+"/"+name) {
					return fmt.Errorf("%s is no licence that is known", filepath.Join(folder, name))
				}
			}
		}
	}
	if len(c.licences) == 0 {
		return errors.New("no licence")
	}
	slices.Sort(c.licences)
	slices.Sort(c.texts)
	c.licences, c.texts = slices.Compact(c.licences), slices.Compact(c.texts)
	return nil
}

func (c *component) classify(text []byte) (certain bool) {
	coverage := licensecheck.Scan(text)
	for _, match := range coverage.Match {
		if !match.IsURL {
			c.licences = append(c.licences, match.ID)
		}
	}
	return coverage.Percent >= known
}

// judge names everything that is not allowed, at once.
func judge(components []component) error {
	var wrong []error
	for _, c := range components {
		if len(c.licences) == 0 {
			wrong = append(wrong, fmt.Errorf("%s %s has no licence", c.name, c.version))
		}
		for _, licence := range c.licences {
			if !slices.Contains(allowed, licence) {
				wrong = append(wrong, fmt.Errorf("%s %s: the licence %s is not allowed", c.name, c.version, licence))
			}
		}
	}
	return errors.Join(wrong...)
}
