package route_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

var example = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The example of the page loads.
func TestDocsExamples(t *testing.T) {
	for _, page := range []string{"mcp.md"} {
		text, err := os.ReadFile("../../../docs/" + page)
		require.NoError(t, err)
		found := example.FindAllSubmatch(text, -1)
		require.NotEmpty(t, found, page)
		for _, file := range found {
			load(t, string(file[1]))
		}
	}
}
