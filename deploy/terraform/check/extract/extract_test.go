package extract

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// pack writes a package as npm has it: of each file only the source map counts.
func pack(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	var raw bytes.Buffer
	zipped := gzip.NewWriter(&raw)
	archive := tar.NewWriter(zipped)
	for folder, source := range files {
		sourceMap, err := json.Marshal(map[string]any{"sourcesContent": []string{source}})
		require.NoError(t, err)
		text := "exports.x = 1;\n//# sourceMappingURL=data:application/json;base64," + base64.StdEncoding.EncodeToString(sourceMap) + "\n"
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: "package/lib/" + folder + "/index.js", Mode: 0o600, Size: int64(len(text))}))
		_, err = archive.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cdktf-provider-aws-1.0.0.tgz"), raw.Bytes(), 0o600))
	sum := sha512.Sum512(raw.Bytes())
	list, err := json.Marshal([]schema.Package{{Name: "aws", Source: "hashicorp/aws", Package: "@cdktf/provider-aws", Release: "1.0.0", Integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "providers.json"), list, 0o600))
}

func testFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, folder := range []string{"db-thing2", "data-aws-db-thing2", "provider", "other"} {
		source, err := os.ReadFile(filepath.Join("testdata", folder+".ts"))
		require.NoError(t, err)
		files[folder] = string(source)
	}
	return files
}

var used = map[string]Types{"aws": {Resources: map[string]bool{"aws_db_thing_2": true}, Data: map[string]bool{"aws_db_thing_2": true}}}

func TestFactsAreWhatTheBindingSays(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, testFiles(t))
	require.NoError(t, Run(dir, dir, used))
	written, err := os.ReadFile(filepath.Join(dir, "aws.json"))
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/aws.json")
	require.NoError(t, err)
	require.Equal(t, string(want), string(written))
}

func TestAPackageOfAnotherDigestIsRefused(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, testFiles(t))
	file := filepath.Join(dir, "cdktf-provider-aws-1.0.0.tgz")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(raw, 0), 0o600))
	require.ErrorContains(t, Run(dir, dir, used), "not the one whose digest")
}

// What the package has is written all the same.
func TestATypeThatIsNotThereIsSaid(t *testing.T) {
	dir := t.TempDir()
	pack(t, dir, testFiles(t))
	wanted := map[string]Types{"aws": {Resources: map[string]bool{"aws_nothing": true, "aws_db_thing_2": true}}}
	require.EqualError(t, Run(dir, dir, wanted), "@cdktf/provider-aws@1.0.0 has no resource aws_nothing")
	known, err := schema.Read(dir)
	require.NoError(t, err)
	require.NotNil(t, known.Of(false, "aws_db_thing_2"))
}
