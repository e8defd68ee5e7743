package s3api

import (
	"errors"
	"io"
	"net/http"

	"stele/internal/guard"
	"stele/internal/s3api/s3err"
)

// patientBody is a body that may neither stand still nor come too slowly; that it did is an S3 error.
type patientBody struct{ *guard.Body }

func (c *call) patient(body io.ReadCloser) io.ReadCloser {
	d, ok := c.w.(deadliner)
	if !ok || body == http.NoBody || body == nil {
		return body
	}
	return patientBody{guard.NewBody(body, d, c.opt.StallTimeout, c.opt.LeastRate, c.opt.RateWindow)}
}

func (b patientBody) Read(p []byte) (int, error) {
	n, err := b.Body.Read(p)
	var slow *guard.SlowError
	if errors.As(err, &slow) {
		err = s3err.ErrRequestTimeout.Msg("%s", slow)
	}
	return n, err
}
