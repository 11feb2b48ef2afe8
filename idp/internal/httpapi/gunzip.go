package httpapi

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
)

// inflate decompresses the body, if need be, to at most limit bytes.
func (c *call) inflate(limit int) (err error) {
	if !c.gzipped {
		return nil
	}
	c.body, err = gunzip(c.body, limit)
	c.gzipped = false
	return err
}

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
