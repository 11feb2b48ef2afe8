package httpapi

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
)

// gunzip inflates at most limit bytes: a bomb costs no more than that.
func gunzip(compressed []byte, limit int) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, invalidField("body", "must be gzip")
	}
	body, err := io.ReadAll(io.LimitReader(reader, int64(limit)+1))
	if err != nil {
		return nil, invalidField("body", "must be gzip")
	}
	if len(body) > limit {
		return nil, tooLarge(limit)
	}
	return body, nil
}
