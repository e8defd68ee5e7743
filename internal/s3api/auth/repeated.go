package auth

import (
	"net/http"
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// checkRepeated refuses a header that means one thing and was sent in several lines. A signature covers the lines joined by commas, so that whoever stands between could cut
// a signed "x-amz-copy-source: box/a,b" in two, of which the first would count: another source under the same signature. Lists are joined where they are read, metadata too.
func checkRepeated(h http.Header) error {
	for name, lines := range h {
		if len(lines) > 1 && meansOne(name) {
			return s3err.InvalidArgument(strings.ToLower(name), strings.Join(lines, ","), "The header %s was sent %d times. Send it once.", strings.ToLower(name), len(lines))
		}
	}
	return nil
}

// meansOne tells whether a header has one value and no list of them.
func meansOne(canonicalName string) bool {
	if strings.HasPrefix(canonicalName, "X-Amz-") {
		return !strings.HasPrefix(canonicalName, wire.MetaPrefix) && !listHeaders[canonicalName]
	}
	return singleHeaders[canonicalName]
}

var listHeaders = wire.Words(`X-Amz-Object-Attributes X-Amz-Optional-Object-Attributes X-Amz-Trailer X-Amz-Copy-Source-If-Match X-Amz-Copy-Source-If-None-Match`)

var singleHeaders = wire.Words(`Authorization Content-Disposition Content-Length Content-Md5 Content-Range Content-Type Date Expires Host If-Modified-Since If-Range If-Unmodified-Since Origin Range X-Stele-Receipt`)
