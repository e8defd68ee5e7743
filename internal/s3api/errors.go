package s3api

import (
	"net/http"
	"strconv"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// ReplyIDs are what every reply carries, so that a log line, an entry and a client's report can be joined.
type ReplyIDs struct {
	RequestID string // x-amz-request-id
	HostID    string // x-amz-id-2
}

// Set writes the ids into the reply's header.
func (ids ReplyIDs) Set(h http.Header) {
	h["X-Amz-Request-Id"] = []string{ids.RequestID}
	h["X-Amz-Id-2"] = []string{ids.HostID}
}

// AppendError appends e's XML document. resource is the path of the request; empty: left out.
func AppendError(b []byte, e *s3err.Error, resource string, ids ReplyIDs) []byte {
	w := s3xml.Writer{B: append(b, s3xml.Header...)}
	w.Open("Error")
	w.Str("Code", e.Code)
	w.Str("Message", e.Message)
	for _, f := range e.Extra {
		w.Str(f.Name, f.Value)
	}
	if resource != "" {
		w.Str("Resource", resource)
	}
	w.Str("RequestId", ids.RequestID)
	w.Str("HostId", ids.HostID)
	w.Close("Error")
	return w.B
}

// WriteError sends err as an S3 error reply. A HEAD request and a 304 get no body, as HTTP demands.
func WriteError(w http.ResponseWriter, r *http.Request, err error, ids ReplyIDs) *s3err.Error {
	e := wire.FromError(err)
	h := w.Header()
	ids.Set(h)
	if r.Method == http.MethodHead || e.Status == http.StatusNotModified {
		w.WriteHeader(e.Status)
		return e
	}
	body := AppendError(nil, e, "", ids)
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(e.Status)
	w.Write(body) //nolint:errcheck // the client is gone; nobody is left to tell
	return e
}
