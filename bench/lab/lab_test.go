package lab

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCoresAreShared(t *testing.T) {
	for _, c := range []struct{ all, servers, others []int }{
		{nil, nil, nil},
		{[]int{0}, nil, nil},
		{[]int{0, 1}, []int{0}, []int{1}},
		{[]int{2, 3, 6}, []int{2}, []int{3, 6}},
		{[]int{0, 1, 2, 3}, []int{0, 1}, []int{2, 3}},
	} {
		servers, others := split(c.all)
		require.Equal(t, c.servers, servers)
		require.Equal(t, c.others, others)
	}
}

func TestAProcessRunsOnItsCores(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // the system decides
	}
	cores := allowed()
	require.NotEmpty(t, cores)
	last := cores[len(cores)-1:]
	var text []byte
	require.NoError(t, On(last, func() (err error) {
		text, err = exec.Command("grep", "Cpus_allowed_list", "/proc/self/status").Output()
		return err
	}))
	require.Contains(t, string(text), "\t"+strconv.Itoa(last[0])+"\n")
	require.Equal(t, cores, allowed(), "ours are as before")
	require.Nil(t, Cores(1<<30))
}

func TestWhatAProcessUsesIsRead(t *testing.T) {
	before, err := CPU(os.Getpid())
	require.NoError(t, err)
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
		_ = strings.Repeat("x", 1000)
	}
	after, err := CPU(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after, before)
	bytes, err := Memory(os.Getpid(), "VmRSS")
	require.NoError(t, err)
	require.Greater(t, bytes, int64(1<<20))
	_, err = Memory(os.Getpid(), "VmNothing")
	require.Error(t, err)
	_, err = CPU(1 << 30)
	require.Error(t, err)
}

func TestBusyCoresAreRead(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // the system does not tell
	}
	before, err := Busy(allowed())
	require.NoError(t, err)
	require.Positive(t, before)
	require.Eventually(t, func() bool {
		_ = strings.Repeat("x", 1<<20)
		after, err := Busy(allowed())
		return err == nil && after > before
	}, time.Minute, time.Millisecond)
	none, err := Busy(nil)
	require.NoError(t, err)
	require.Zero(t, none)
}

func TestMetricsAreFoundByTheirWholeName(t *testing.T) {
	page := Metrics("a_total 3\na_total_more 4\nb{x=\"1\"} 0.5\ninfo{backend=\"crypto/rsa\",v=\"2\"} 0\ninfo{backend=\"libcrypto\",v=\"2\"} 1\n")
	for name, want := range map[string]float64{"a_total": 3, `b{x="1"}`: 0.5} {
		got, err := page.Value(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := page.Value("a")
	require.Error(t, err)
	backend, err := page.Label("info", "backend")
	require.NoError(t, err)
	require.Equal(t, "libcrypto", backend, "the one that is 1")
	_, err = page.Label("info", "none")
	require.Error(t, err)
}

func TestMetricsComeFromAServer(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("a 1\n"))
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	page, err := ReadMetrics(t.Context(), addr)
	require.NoError(t, err)
	require.Equal(t, Metrics("a 1\n"), page)
	status = http.StatusInternalServerError
	_, err = ReadMetrics(t.Context(), addr)
	require.Error(t, err)
}

func TestWhatIsNotBuiltIsNamed(t *testing.T) {
	_, err := Open(t.Context(), Options{Bin: t.TempDir(), Store: SQLite})
	require.ErrorContains(t, err, "make bench")
	_, err = Open(t.Context(), Options{Bin: t.TempDir(), Store: "oracle"})
	require.ErrorContains(t, err, `store "oracle"`)
}

func TestTheIdPMustSignAsWasAsked(t *testing.T) {
	const name = `agentidp_sign_backend_info{backend="`
	pure := Metrics(name + "crypto/rsa\"} 1\n" + name + "libcrypto\"} 0\n")
	fast := Metrics(name + "crypto/rsa\"} 0\n" + name + "libcrypto\"} 1\n")
	for _, c := range []struct {
		signer string
		page   Metrics
		why    string
	}{
		{"", pure, ""},
		{"go", pure, ""},
		{"libcrypto", fast, ""},
		{"libcrypto", pure, "crypto/rsa instead of libcrypto"},
		{"go", fast, "libcrypto instead of crypto/rsa"},
		{"go", "", "no metric"},
	} {
		_, err := Options{Signer: c.signer}.Signs(c.page)
		if c.why == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.why)
		}
	}
}
