package statuslist

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"io"
	bits8 "math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The vector of section 4.1 and 4.2: which bit is whose, and what lst holds.
func TestTheDraftsVector(t *testing.T) {
	list := make([]byte, 2)
	for index, status := range []int{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1} {
		if status == 1 {
			require.False(t, set(list, int64(index)))
			require.True(t, set(list, int64(index)))
		}
	}
	require.Equal(t, "b9a3", hex.EncodeToString(list))

	published, err := hex.DecodeString("78dadbb918000217015d")
	require.NoError(t, err)
	require.Equal(t, list, decode(t, base64.RawURLEncoding.EncodeToString(published)))
	lst, err := compress(list)
	require.NoError(t, err)
	require.Equal(t, list, decode(t, lst))
	packed, err := base64.RawURLEncoding.DecodeString(lst)
	require.NoError(t, err)
	require.Equal(t, published[:2], packed[:2], "zlib, best compression")
	require.Equal(t, published[len(published)-4:], packed[len(packed)-4:], "the same checksum")
}

func TestAnEmptyListIsSmall(t *testing.T) {
	lst, err := compress(make([]byte, listBytes))
	require.NoError(t, err)
	require.Less(t, len(lst), 256)
}

func TestPlaces(t *testing.T) {
	at := base("https://idp.test/")
	require.Equal(t, "https://idp.test/statuslists/0", place(at, 0).URI)
	require.Equal(t, int64(store.StatusListSize-1), place(at, store.StatusListSize-1).Index)
	last := place(base("https://example.com/idp"), 7*store.StatusListSize+3)
	require.Equal(t, "https://example.com/idp/statuslists/7", last.URI)
	require.Equal(t, int64(3), last.Index)
}

// FuzzCodec holds the list to what a relying party reads: the bits that were
// set, whatever they are, and no other.
func FuzzCodec(f *testing.F) {
	f.Add([]byte{0, 0, 0, 7, 15, 255})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, indexes []byte) {
		list, want := make([]byte, listBytes), map[int64]bool{}
		for ; len(indexes) > 2; indexes = indexes[3:] {
			index := (int64(indexes[0])<<16 | int64(indexes[1])<<8 | int64(indexes[2])) % store.StatusListSize
			require.Equal(t, want[index], set(list, index))
			want[index] = true
		}
		lst, err := compress(list)
		require.NoError(t, err)
		packed, err := base64.RawURLEncoding.DecodeString(lst)
		require.NoError(t, err)
		reader, err := zlib.NewReader(bytes.NewReader(packed))
		require.NoError(t, err)
		bits, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Equal(t, list, bits)
		count := 0
		for _, b := range bits {
			count += bits8.OnesCount8(b)
		}
		require.Len(t, want, count)
	})
}
