package auditlog

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The writer is awake when something is due, and not before: whoever waits for a
// signature shares a commit.
func TestAdmissionsWaitForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(nil, nil, Options{})
		ctx, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		// admit has an answer waited for once begun closes, or at once.
		admit := func(begun <-chan struct{}) {
			var meanwhile Meanwhile
			if begun != nil {
				meanwhile = func(due func() bool) {
					select {
					case <-begun:
						require.True(t, due(), "nobody said no")
					case <-ctx.Done():
					}
				}
			}
			callers.Go(func() {
				_, err := l.Admit(ctx, store.Admission{}, idp.Event{OrganizationID: "acme", Action: "a", Outcome: idp.Success}, meanwhile)
				require.Error(t, err, "nobody writes")
			})
			synctest.Wait()
		}
		first, second := make(chan struct{}), make(chan struct{})
		admit(first)
		admit(second)
		require.Len(t, l.queue, 2)
		require.Empty(t, l.wake, "nobody needs the answer yet")

		close(first)
		synctest.Wait()
		require.Len(t, l.wake, 1)
		<-l.wake
		require.Len(t, l.gather(), 2, "the other goes with it")
		close(second)
		synctest.Wait()
		require.Empty(t, l.wake, "it is on its way")

		admit(nil)
		require.Len(t, l.wake, 1, "due at once")
		<-l.wake
		l.gather()
		for range company {
			require.Empty(t, l.wake)
			admit(make(chan struct{}))
		}
		require.Len(t, l.wake, 1, "enough of them")
		leave()
		callers.Wait()
	})
}

// What was decided before its answer was needed is not done in vain, and counts
// however late somebody looks.
func TestARefusalIsKnownBeforeItIsDue(t *testing.T) {
	for _, verdict := range []store.AdmissionResult{store.Admitted, store.QuotaExceeded} {
		l := New(nil, nil, Options{})
		ctx, leave := context.WithCancel(t.Context())
		got, err := l.Admit(ctx, store.Admission{}, idp.Event{OrganizationID: "acme", Action: "a", Outcome: idp.Success}, func(due func() bool) {
			require.True(t, due(), "not decided yet")
			for _, w := range l.gather() {
				w.done <- outcome{verdict: verdict}
			}
			require.Equal(t, verdict == store.Admitted, due())
			leave()
		})
		require.NoError(t, err)
		require.Equal(t, verdict, got)
	}
}

func TestGatherLeavesTheWriterAwake(t *testing.T) {
	l := New(nil, nil, Options{})
	for range maxWrites + 1 {
		l.queue <- &write{weight: 1}
	}
	require.Len(t, l.gather(), maxWrites)
	require.Len(t, l.wake, 1, "for the rest")
	<-l.wake
	require.Len(t, l.gather(), 1)
	require.Empty(t, l.wake)
}

func TestCompareUTF16(t *testing.T) {
	names := []string{"", "a", "aa", "b", "~", "\u007f", "é", "€", "\ue000", "\uffff", "𐀀", "😀", "a😀", "a\uffff", "aé", "\x80", "a\xff"}
	for _, x := range names {
		for _, y := range names {
			require.Equal(t, slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y))), compareUTF16(x, y), "%q %q", x, y)
		}
	}
}
