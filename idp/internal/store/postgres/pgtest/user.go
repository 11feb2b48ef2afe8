package pgtest

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Unprivileged are attributes under which a process runs that refuses to be
// root: as postgres or nobody when we are root, else as we are.
func Unprivileged() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is for the test alone
	if uid, gid, is := other(); is {
		attributes.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return attributes
}

func other() (uid, gid uint32, is bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		if found, err := user.Lookup(name); err == nil {
			u, uidErr := strconv.ParseUint(found.Uid, 10, 32)
			g, gidErr := strconv.ParseUint(found.Gid, 10, 32)
			if uidErr == nil && gidErr == nil {
				return uint32(u), uint32(g), true
			}
		}
	}
	return 0, 0, false
}

// chown gives a folder to the unprivileged user.
func chown(folder string) error {
	uid, gid, is := other()
	if !is {
		return nil
	}
	return os.Chown(folder, int(uid), int(gid))
}
