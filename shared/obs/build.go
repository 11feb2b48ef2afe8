package obs

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is set by the linker for a release: -X …/shared/obs.Version=v1.2.3.
var Version string

// Build says what the running program was built from.
type Build struct {
	Version  string // release or module version; "devel" when neither is known
	Revision string // commit, 12 hex digits; "" when unknown
	Modified bool   // the working tree differed from the commit
	Go       string // toolchain
}

// ReadBuild reads the running program's build information.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return build(Version, info)
}

func build(version string, info *debug.BuildInfo) Build {
	b := Build{Version: version, Go: info.GoVersion}
	if b.Go == "" {
		b.Go = runtime.Version()
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is one line for --version: "v1.2.3 (1a2b3c4d5e6f, modified, go1.26)".
func (b Build) String() string {
	parts := make([]string, 0, 3)
	if b.Revision != "" {
		parts = append(parts, b.Revision)
	}
	if b.Modified {
		parts = append(parts, "modified")
	}
	return b.Version + " (" + strings.Join(append(parts, b.Go), ", ") + ")"
}
