package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stopping is an orderly end, when the last checkpoint is signed and written
// and the write-ahead log is folded into the file.
var stopping = kind("stop")

// injection is one system call during one operation, and what becomes of it.
type injection struct {
	during kind
	call   string
	nth    int    // of the thread that makes them
	fault  string // "signal=KILL": the process dies before the call; "error=EIO": the call fails
}

func (i injection) String() string {
	return fmt.Sprintf("%s at %s %d: %s", i.during, i.call, i.nth, i.fault)
}

// threads keeps a goroutine on its thread between two system calls, so that the
// calls of one transaction are counted by one counter of strace.
const threads = "GOMAXPROCS=8"

// injector is an IdP whose system calls fail, one in each round.
type injector struct {
	*trial
	occurrences  map[kind]map[string]int
	happened     map[injection]bool
	inconsistent []string
}

// newInjector starts an IdP and counts the calls of every operation.
func newInjector(t *testing.T, during ...kind) *injector {
	t.Helper()
	in := &injector{trial: newTrial(t, plain, onSQLite(t), threads), occurrences: map[kind]map[string]int{}, happened: map[injection]bool{}}
	in.process.Start()
	victims := map[kind]*victim{}
	for _, k := range during {
		v := in.prepare(k)
		victims[k] = &v
	}
	in.client.loggedIn(in.T)
	tracer := trace(t, in.process)
	for _, k := range during {
		from := len(tracer.lines())
		in.perform(k, victims[k], "")
		in.occurrences[k] = tracer.count(from)
		require.NotEmpty(t, in.occurrences[k], k)
	}
	tracer.detach()
	if !in.process.Running() {
		in.process.Start()
	}
	return in
}

func (in *injector) prepare(k kind) victim {
	in.Helper()
	if k == stopping {
		k = issue
	}
	return prepare(in.T, in.client, k)
}

// perform does the operation and reports whether it is done, as far as anybody was told.
func (in *injector) perform(k kind, v *victim, key string) (done bool) {
	in.Helper()
	if k == stopping {
		in.process.Signal(syscall.SIGTERM)
		in.process.Wait()
		return true
	}
	d := ask(in.client, k, v, key)
	return d.told == yes || d.status == 409
}

// classes are the calls that were counted in each operation, with both faults;
// nth is how many there were.
func (in *injector) classes() (all []injection) {
	for during, calls := range in.occurrences {
		for call, n := range calls {
			all = append(all, injection{during, call, n, "signal=KILL"}, injection{during, call, n, "error=EIO"})
		}
	}
	slices.SortFunc(all, func(a, b injection) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// every makes one call after the other fail, until there is none any more; a
// transaction may write more or fewer pages than the one that was counted.
func (in *injector) every(class injection) {
	in.Helper()
	i, next := class, class
	for i.nth = 1; ; i.nth++ {
		next.nth = i.nth + 1
		if !in.inject(i) && !in.inject(next) {
			return
		}
	}
}

// one makes one of the calls fail.
func (in *injector) one(class injection, random *rand.Rand) {
	in.Helper()
	class.nth = 1 + random.IntN(class.nth)
	for !in.inject(class) && class.nth > 1 {
		class.nth /= 2
	}
}

// inject makes one call fail in one operation, and looks at what is left: dead as
// it is, and again after a restart, when the same request must work.
func (in *injector) inject(i injection) (hit bool) {
	in.Helper()
	v := in.prepare(i.during)
	key := fmt.Sprintf("key-%d", requests.Add(1))
	in.client.loggedIn(in.T)
	tracer := trace(in.T, in.process, fmt.Sprintf("%s:%s:when=%d", i.call, i.fault, i.nth))
	begun := time.Now()
	done := in.perform(i.during, &v, key)
	// What failed either ends the process or is over with the next attempt.
	for !done && in.process.Running() && time.Since(begun) < patience {
		time.Sleep(pause)
		done = in.perform(i.during, &v, key)
	}
	require.True(in, done || !in.process.Running(), "%s: neither served nor ended", i)
	hit = !in.process.Running() && in.process.ExitStatus() == -1
	if in.process.Running() {
		in.process.Kill()
	}
	tracer.detach()
	if _, failed := tracer.failed(); !hit && !failed {
		in.process.Start()
		return false
	}
	in.figures.runs++
	in.happened[i] = true
	in.inspect(i)
	in.figures.downtime = max(in.figures.downtime, in.process.Start())
	if !done {
		in.askAgain(i.during, &v, key, i.String())
	}
	return true
}

// inspect holds the store of the dead process against what clients were told.
func (in *injector) inspect(i injection) {
	in.Helper()
	wrong := func(format string, args ...any) {
		in.inconsistent = append(in.inconsistent, i.String()+": "+fmt.Sprintf(format, args...))
	}
	if output, err := in.process.command("audit", "verify", "--offline"); err != nil {
		wrong("%s", output)
	}
	if said := integrity(in.T, in.site); said != "ok" {
		wrong("%s", said)
	}
	view := look(in.T, in.site)
	if f := judge(&view, in.ledger.all()); len(f.lost)+len(f.phantom)+len(f.unaudited)+f.forks > 0 {
		wrong("%+v", f)
	}
}

// F1 by system call: kill -9 before, and EIO from, each call that changes a file
// of the data folder, in every operation and in an orderly end. The short form
// draws one of each call with a fixed seed.
func TestF1KilledAtSystemCalls(t *testing.T) {
	var sum figures
	var inconsistent []string
	counted, happened, random := 0, 0, rand.New(rand.NewPCG(1, 1))
	for _, during := range [][]kind{kinds, {stopping}} {
		in := newInjector(t, during...)
		synced := 0
		for _, class := range in.classes() {
			counted += class.nth
			switch {
			case full():
				in.every(class)
			case class.call != "fsync" || synced < 4: // every operation has one, and they are alike
				in.one(class, random)
				synced += map[string]int{"fsync": 1}[class.call]
			}
		}
		sum.add(in.close())
		happened += len(in.happened)
		inconsistent = append(inconsistent, in.inconsistent...)
		require.Empty(t, in.wrong())
	}
	sum.extra = fmt.Sprintf("%d injections, %d inconsistent stores, %d lost acknowledged rows (%d different; counted beforehand: %d)",
		sum.runs, len(inconsistent), len(sum.lost), happened, counted)
	report(t, "F1s", sum)
	require.Empty(t, inconsistent)
	require.GreaterOrEqual(t, happened, pick(20, counted*8/10))
	within(t, 5*time.Second, sum.downtime)
}
