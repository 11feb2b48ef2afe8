package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Names of the programs in the folder of builds. Those with a signer that is
// linked in have it behind a hyphen.
const (
	idpProgram     = "agentidp"
	sidecarProgram = "agentidp-sidecar"
	insideProgram  = "idpbench"
	hopProgram     = "hop"
)

// Backend is what the IdP of that build calls its signatures.
func (o Options) Backend() string {
	if o.Signer == "" || o.Signer == "go" {
		return "crypto/rsa"
	}
	return o.Signer
}

// Signs reads from an IdP's metrics what signs. It is an error, with the name,
// when that is not what was asked for.
func (o Options) Signs(page Metrics) (string, error) {
	backend, err := page.Label("agentidp_sign_backend_info", "backend")
	if err == nil && backend != o.Backend() {
		err = fmt.Errorf("the IdP signs with %s instead of %s", backend, o.Backend())
	}
	return backend, err
}

// signerEnv makes IdP and idpbench sign with what is asked for, whatever is the
// default of the build.
func (o Options) signerEnv() string {
	switch o.Signer {
	case "", "go":
		return "AGENTIDP_SIGNER=go"
	case "batch":
		return "AGENTIDP_SIGNER=batch"
	default:
		return "AGENTIDP_SIGNER=auto"
	}
}

// stage links the builds that are measured to the names that the stack knows.
func (l *Lab) stage() error {
	suffix := ""
	if l.Options.signerEnv() == "AGENTIDP_SIGNER=auto" {
		suffix = "-" + l.Options.Signer
	}
	for link, program := range map[string]string{
		"bin/" + idpProgram: idpProgram + suffix, "bin/" + sidecarProgram: sidecarProgram, "bin/" + hopProgram: hopProgram,
		"stub/" + idpProgram: insideProgram + suffix, "stub/" + sidecarProgram: sidecarProgram,
	} {
		path, err := filepath.Abs(filepath.Join(l.Options.Bin, program))
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w (`make bench` builds it)", err)
		}
		link = filepath.Join(l.root, link)
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			return err
		}
		if err := os.Symlink(path, link); err != nil {
			return err
		}
	}
	return nil
}

// Inside runs a command of idpbench, of the build that is measured, on the
// measured cores, and decodes what it prints.
func (l *Lab) Inside(ctx context.Context, out any, args ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(l.root, "stub", idpProgram), args...)
	command.Stderr = os.Stderr
	command.Env = append(os.Environ(), l.Options.signerEnv())
	var output []byte
	err := On(l.Servers, func() (err error) {
		output, err = command.Output()
		return err
	})
	if err != nil {
		return fmt.Errorf("%s %v: %w", insideProgram, args, err)
	}
	if err := json.Unmarshal(output, out); err != nil {
		return fmt.Errorf("%s %v: %w", insideProgram, args, err)
	}
	return nil
}
