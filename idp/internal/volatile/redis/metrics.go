package redis

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"
)

// op is what was asked, as metrics call it.
type op string

const (
	opLimit       op = "limit"
	opQuotaGet    op = "quota_get"
	opQuotaSet    op = "quota_set"
	opCacheGet    op = "cache_get"
	opCacheSet    op = "cache_set"
	opCacheDelete op = "cache_delete"
	opPublish     op = "publish"
	opSubscribe   op = "subscribe"
	opProbe       op = "probe"
)

func newErrors(set *metrics.Set) map[op]*metrics.Counter {
	counters := map[op]*metrics.Counter{}
	for _, op := range []op{
		opLimit, opQuotaGet, opQuotaSet, opCacheGet, opCacheSet, opCacheDelete, opPublish, opSubscribe, opProbe,
	} {
		counters[op] = set.NewCounter(fmt.Sprintf("agentidp_redis_errors_total{op=%q}", op))
	}
	return counters
}
