package extauthz

import (
	"context"
	"net/http"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	httptype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// Check implements the Authorization service.
func (s *Server) Check(ctx context.Context, in *auth.CheckRequest) (out *auth.CheckResponse, err error) {
	if ctx.Err() != nil {
		s.meters.late.Inc()
		return nil, status.FromContextError(ctx.Err()).Err() // Envoy waits no longer
	}
	defer func() {
		if cause := recover(); cause != nil {
			s.meters.failed.Inc()
			s.Log.ErrorContext(ctx, "panic in an ext_authz check", "panic", cause)
			out, err = denied(defect), nil
		}
	}()
	q, names := question(in)
	v := s.Ask(q)
	if !v.Allowed {
		s.meters.denied.Inc()
		return denied(v), nil
	}
	s.meters.allowed.Inc()
	return allowed(v, names), nil
}

// defect is the answer when there is none.
var defect = proxy.Verdict{
	Status: http.StatusInternalServerError,
	Fields: [][2]string{{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}, {proxy.ErrorHeader, "internal"}},
	Body:   []byte(`{"code":"INTERNAL","message":"internal error","details":{"reason":"internal"}}`),
}

// denied lets Envoy answer the client with the verdict's own answer.
func denied(v proxy.Verdict) *auth.CheckResponse {
	code := codes.PermissionDenied
	if v.Status == http.StatusUnauthorized {
		code = codes.Unauthenticated
	}
	return &auth.CheckResponse{
		Status: &rpc.Status{Code: int32(code), Message: v.Reason},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status:  &httptype.HttpStatus{Code: httptype.StatusCode(v.Status)},
			Headers: overwrite(v.Fields), Body: string(v.Body),
		}},
		DynamicMetadata: metadata(v),
	}
}

// allowed lets Envoy forward the request with what we say of the client in place
// of what the client says. Envoy removes after it sets: what is set must not be
// named for removal.
func allowed(v proxy.Verdict, names []string) *auth.CheckResponse {
	fields := slices.Concat(v.Fields, v.Forwarded, [][2]string{{proxy.DecisionHeader, v.DecisionID}})
	set := overwrite(slices.DeleteFunc(fields, func(field [2]string) bool { return field[1] == "" }))
	var remove []string
	for _, name := range names {
		lower := strings.ToLower(name)
		if lower == "authorization" && !v.ForwardToken || guard.Strips(lower) && !sets(set, lower) {
			remove = append(remove, lower)
		}
	}
	return &auth.CheckResponse{
		Status:          &rpc.Status{Code: int32(codes.OK)},
		HttpResponse:    &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{Headers: set, HeadersToRemove: remove}},
		DynamicMetadata: metadata(v),
	}
}

func sets(options []*core.HeaderValueOption, lower string) bool {
	return slices.ContainsFunc(options, func(o *core.HeaderValueOption) bool { return o.Header.Key == lower })
}

func overwrite(fields [][2]string) []*core.HeaderValueOption {
	options := make([]*core.HeaderValueOption, len(fields))
	for i, field := range fields {
		options[i] = &core.HeaderValueOption{
			Header:       &core.HeaderValue{Key: strings.ToLower(field[0]), Value: field[1]},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	return options
}

// metadata is for Envoy's access log and for filters behind: the namespace is
// the filter's, envoy.filters.http.ext_authz.
func metadata(v proxy.Verdict) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"decision_id": structpb.NewStringValue(v.DecisionID), "route": structpb.NewStringValue(v.RouteID), "reason": structpb.NewStringValue(v.Reason),
	}}
}
