package httpx

import (
	"mime"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// CheckMedia demands that the request's body is of the media type, in UTF-8 and
// not compressed: UNSUPPORTED_MEDIA_TYPE otherwise. The one parameter allowed is
// charset=utf-8.
func CheckMedia(header *fasthttp.RequestHeader, media string) error {
	refusal := apierr.New(apierr.UnsupportedMediaType, "the body must be %s", media).WithReason("unsupported_media_type")
	given, parameters, err := mime.ParseMediaType(string(header.ContentType()))
	if err != nil || given != media {
		return refusal
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return refusal
		}
	}
	if coding := string(header.Peek("Content-Encoding")); coding != "" && !strings.EqualFold(coding, "identity") {
		return apierr.New(apierr.UnsupportedMediaType, "the body must not be compressed").WithReason("unsupported_media_type")
	}
	return nil
}
