//go:build images

package compose_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const maxImage = 60 << 20

// root makes the service's root file system, read-only but for its volumes.
func (w *world) root(t *testing.T, name string) {
	s := w.Project.Services[name]
	root := filepath.Join(w.dir, "roots", name)
	require.NoError(t, os.MkdirAll(root, 0o755))
	_, ours := w.Images[name]
	if ours {
		w.assemble(t, name, root)
		run(t, root, "mount", "--bind", root, root)
	} else {
		layer := root + ".layer" // Debian's programs, under a layer for mount points
		run(t, w.dir, "sh", "-ec", `mkdir "$0"; mount -t tmpfs tmpfs "$0"; mkdir "$0/upper" "$0/work"; mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$1"`, layer, root)
		passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
		require.NoError(t, err)
		user, group, _ := strings.Cut(s.User, ":")
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("service:x:"+user+":"+group+"::/tmp:/bin/sh\n"+string(passwd)), 0o644))
	}
	var later []func()
	mount := func(target string, isFile bool, args ...string) {
		target = filepath.Join(root, strings.Replace(target, "/var/run/", "/run/", 1))
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		if _, err := os.Stat(target); err != nil && isFile {
			require.NoError(t, os.WriteFile(target, nil, 0o644))
		} else if err != nil {
			require.NoError(t, os.MkdirAll(target, 0o755))
		}
		later = append(later, func() { run(t, w.dir, "mount", append(args, target)...) })
	}
	mount("/proc", false, "-t", "proc", "proc")
	mount("/dev", false, "--rbind", "/dev")
	mount("/etc/hosts", true, "--bind", filepath.Join(w.dir, name+".hosts"))
	for _, target := range w.Images[name].Volumes {
		if !slices.ContainsFunc(s.Volumes, func(v struct{ Type, Source, Target string }) bool { return v.Target == target }) {
			mount(target, false, "--bind", w.volume(t, name+"-anonymous", s.User))
		}
	}
	for _, v := range s.Volumes {
		if v.Type == "volume" {
			mount(v.Target, false, "--bind", w.volume(t, v.Source, s.User))
			continue
		}
		info, err := os.Stat(v.Source)
		require.NoError(t, err)
		mount(v.Target, !info.IsDir(), "-o", "bind,ro", v.Source)
	}
	for _, entry := range s.Tmpfs {
		target, options, _ := strings.Cut(entry, ":")
		mount(target, false, "-t", "tmpfs", "-o", options, "tmpfs")
	}
	run(t, w.dir, "mount", "-o", map[bool]string{true: "remount,bind,ro", false: "remount,ro"}[ours], root)
	for _, do := range later {
		do()
	}
	w.roots[name] = root
}

// volume is a new volume as an engine fills it: it belongs to whom the folder of the image belongs to.
func (w *world) volume(t *testing.T, name, user string) string {
	dir := filepath.Join(w.dir, "volumes", name)
	if _, err := os.Stat(dir); err != nil {
		require.NoError(t, os.MkdirAll(dir, 0o700))
		run(t, ".", "chown", user, dir)
	}
	return dir
}

// assemble does the COPY lines of the Dockerfile's last stage, and looks at what came of them.
func (w *world) assemble(t *testing.T, name, root string) {
	built := map[string]string{
		"/etc/ssl/certs/ca-certificates.crt": filepath.Join(w.dir, "ca-certificates.crt"),
		"/out/agentidp":                      filepath.Join(top, "bin/agentidp-libcrypto"),
	}
	for _, program := range []string{"agentidp-sidecar", "notes", "enrol"} {
		built["/out/"+program] = filepath.Join(w.programs, program)
	}
	for _, c := range w.Images[name].Copies {
		for _, source := range c.Sources {
			to := filepath.Join(root, c.To)
			if strings.HasSuffix(c.To, "/") {
				to = filepath.Join(to, filepath.Base(source))
			}
			require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
			if source == "/out/data" {
				mode, err := strconv.ParseUint(c.Chmod, 8, 32)
				require.NoError(t, err)
				require.NoError(t, os.Mkdir(to, fs.FileMode(mode)))
				run(t, ".", "chown", c.Chown, to)
				continue
			}
			require.Contains(t, built, source, name)
			run(t, ".", "cp", built[source], to)
		}
	}
	var size int64
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeDevice), path)
		require.Zero(t, info.Mode().Perm()&0o022, "%s can be written by others", path)
		if entry.Type().IsRegular() {
			size += info.Size()
		}
		return nil
	}))
	require.Less(t, size, int64(maxImage), name)
	t.Logf("%s: %.1f MB, user %s", name, float64(size)/1e6, w.Images[name].User)
}
