package docs_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	destination = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|(?m)^\[[^\]]+\]:\s+(\S+)`)
	fence       = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	inline      = regexp.MustCompile("`[^`\n]+`")
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
	labelled    = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
)

// pages are all of the repository's, by their path from its top.
func pages(t *testing.T) (found []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && (name[0] == '.' || slices.Contains([]string{"node_modules", "dist", "bin", "build", "target", "testdata"}, name)):
			return filepath.SkipDir
		case filepath.Ext(name) == ".md" && name != "CHANGELOG.md": // which tells of pages of its time
			found = append(found, strings.TrimPrefix(path, "../"))
		}
		return nil
	})
	require.NoError(t, err)
	return found
}

// TestLinksLeadSomewhere is about every link within the repository, and its anchor.
func TestLinksLeadSomewhere(t *testing.T) {
	var broken []string
	all, links := pages(t), 0
	for _, folder := range []string{"docs", "docs/adr", "docs/runbooks", "sdk/go", "sdk/node", "sdk/python", "sdk/java", "bench/results", "deploy/terraform/gcp"} {
		require.True(t, slices.ContainsFunc(all, func(page string) bool { return filepath.Dir(page) == folder }), "no page of %s was found", folder)
	}
	require.Contains(t, all, "README.md")
	for _, page := range all {
		for _, to := range destinations(read(t, "../"+page)) {
			if strings.Contains(to, ":") { // another place: https, mailto
				continue
			}
			links++
			if why := leads(t, page, to); why != "" {
				broken = append(broken, fmt.Sprintf("%s: (%s) %s", page, to, why))
			}
		}
	}
	require.Empty(t, broken, strings.Join(broken, "\n"))
	require.Greater(t, links, 400)
}

// destinations are those of the links of a page, of which code is no part.
func destinations(content string) (found []string) {
	for _, m := range destination.FindAllStringSubmatch(inline.ReplaceAllString(fence.ReplaceAllString(content, ""), "`code`"), -1) {
		found = append(found, m[1]+m[2])
	}
	return found
}

// leads says why a link leads nowhere; "" when it does not.
func leads(t *testing.T, page, to string) (why string) {
	t.Helper()
	file, fragment, _ := strings.Cut(to, "#")
	file, err := url.PathUnescape(file)
	if err != nil {
		return err.Error()
	}
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if !filepath.IsLocal(target) {
		return "leads out of the repository"
	}
	if _, err := os.Stat("../" + target); err != nil {
		return "is not there"
	}
	if fragment != "" && filepath.Ext(target) == ".md" && !slices.Contains(anchors(read(t, "../"+target)), fragment) {
		return "has no such heading"
	}
	return ""
}

// anchors are what a page's headings are called in addresses: as GitHub names them.
func anchors(content string) (names []string) {
	content = fence.ReplaceAllString(content, "")
	for _, m := range labelled.FindAllStringSubmatch(content, -1) {
		names = append(names, m[1])
	}
	seen := map[string]int{}
	for line := range strings.Lines(content) {
		title, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !is || line[0] != '#' {
			continue
		}
		title = destination.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "]")
		name := strings.ReplaceAll(notInAnchor.ReplaceAllString(title, ""), " ", "-")
		if again := seen[name]; again > 0 {
			names = append(names, fmt.Sprintf("%s-%d", name, again))
		} else {
			names = append(names, name)
		}
		seen[name]++
	}
	return names
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	require.Equal(t, []string{"x", "a-b--c_d", "über-1", "a-b--c_d-1", "a-page"}, anchors("# A `b` & c_d\n"+"```\n# no heading\n```\n<a id=\"x\"></a>\n## Über 1!\n### A `b` & c_d\n#hashtag\n## [A page](b.md)\n"))
	require.Equal(t, []string{"a.md#b", "c.png", "d"}, destinations("[x](a.md#b) `[y](z)` ![](c.png \"t\")\n```\n[q](r)\n```\n[ref]: d\n"))
}
