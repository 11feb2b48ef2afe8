package faults

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What an IdP remembers of a client admits nothing after a change that another
// one, or it itself, acknowledged: the very next request hears no.
func TestWhatIsRememberedAdmitsNothing(t *testing.T) {
	changes := map[string]func(c *client, h holder) deed{
		"agent suspended":    (*client).suspend,
		"agent removed":      (*client).remove,
		"credential revoked": (*client).withdraw,
		"secret rotated": func(c *client, h holder) deed {
			d, _ := c.rotate(h, "")
			return d
		},
	}
	onEach(t, func(t *testing.T, s *site) {
		size := 1
		if s.backend == "postgres" {
			size = 2
		}
		replicas := fleet(t, s, size)
		here, there := replicas[0].client, replicas[size-1].client
		there.loggedIn(t)
		here.loggedIn(t)
		for name, change := range changes {
			d, h := here.create("", "")
			require.Equal(t, yes, d.told, "%s: %+v", name, d)
			d, h = here.credential(h, "")
			require.Equal(t, yes, d.told, "%s: %+v", name, d)
			for range 3 { // proven, then remembered
				d, _ = here.issue(h)
				require.Equal(t, yes, d.told, "%s: %+v", name, d)
			}
			require.Equal(t, yes, change(there, h).told, name)
			d, token := here.issue(h)
			require.Equal(t, no, d.told, "%s: %+v", name, d)
			require.Empty(t, token)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, d.status, "%s: %+v", name, d)
		}
	})
}
