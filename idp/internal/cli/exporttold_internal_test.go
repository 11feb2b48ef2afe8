package cli

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

func TestALongExportTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said obstest.Output
		told := telling(&said, strings.NewReader("eventId,sequence\r\n"))
		all, err := io.ReadAll(told)
		require.NoError(t, err)
		require.Equal(t, "eventId,sequence\r\n", string(all))
		require.Empty(t, said.String(), "nobody waits yet")
		time.Sleep(tellEvery)
		synctest.Wait()
		require.Equal(t, "the IdP is still looking through the log: 18 bytes in 10s\n", said.String())
		told.Close()
		time.Sleep(2 * tellEvery)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(said.String(), "\n"), "it is over")
	})
}
