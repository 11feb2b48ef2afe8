package statuslist

import (
	"slices"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// dead is which tokens are, by list, until the last of a list has expired. It
// is bounded by the lists that may hold a live token, 128 KiB for each.
type dead struct {
	mu      sync.RWMutex // guards what follows
	version uint64       // of the last change to any list
	lists   map[int64]*deadList
	live    []int64   // ids of lists that are served, lowest first
	synced  time.Time // the feed has been followed up to here
}

type deadList struct {
	bits    []byte
	version uint64
	latest  int64 // exp of the token that expires last, Unix seconds
}

// kill marks the token at a global index, which expires at exp. No index is
// negative, but an event that somebody changed may say so.
func (d *dead) kill(index, exp int64) {
	if index < 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.lists[index/store.StatusListSize]
	if list == nil {
		list = &deadList{bits: make([]byte, listBytes)}
		d.lists[index/store.StatusListSize] = list
	}
	list.latest = max(list.latest, exp)
	if !set(list.bits, index%store.StatusListSize) {
		d.version++
		list.version = d.version
	}
}

// reached says that everything revoked before at is marked, which lists are
// served, and forgets the lists in which no dead token is accepted any more.
func (d *dead) reached(at time.Time, live []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.synced, d.live = at, live
	for id, list := range d.lists {
		if list.latest+int64(skew/time.Second) < at.Unix() {
			delete(d.lists, id)
		}
	}
}

// learn adds what another replica may have begun.
func (d *dead) learn(live []int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = live
}

func (d *dead) serves(id int64) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, found := slices.BinarySearch(d.live, id)
	return found
}

func (d *dead) served() (live []int64, synced time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.live, d.synced
}

// at is the version of a list, 0 when nothing in it is dead, and until when it is right.
func (d *dead) at(id int64) (version uint64, synced time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if list := d.lists[id]; list != nil {
		version = list.version
	}
	return version, d.synced
}

// copyOf is a list as it is now.
func (d *dead) copyOf(id int64) (bits []byte, version uint64, synced time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	bits = make([]byte, listBytes)
	if list := d.lists[id]; list != nil {
		copy(bits, list.bits)
		version = list.version
	}
	return bits, version, d.synced
}
