package registry

import (
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// ETag is the strong entity tag of a revision (RFC 9110 section 8.8.3).
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// precondition holds an If-Match header (RFC 9110 section 13.1.1) against the
// stored revision. An empty header asks for nothing; weak tags never match.
func precondition(ifMatch string, revision int64) error {
	if ifMatch == "" {
		return nil
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == ETag(revision) {
			return nil
		}
	}
	return apierr.New(apierr.PreconditionFailed, "the resource has changed; read it again").
		WithReason("precondition_failed").WithDetail("etag", ETag(revision))
}
