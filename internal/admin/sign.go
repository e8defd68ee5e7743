package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Region is the region that the admin port's signatures name, whatever the S3 door's is.
const Region = "us-east-1"

// Service is the service that the admin port's signatures name, one of its own (frozen): a request that was signed for the S3 port, seen on its way, would else be good here too wherever a path of
// the one is one of the other: the object "entries" of a bucket "ledger" is the ledger's private parts.
const Service = "stele-admin"

const unsigned = "UNSIGNED-PAYLOAD"

// sign signs a request with AWS Signature Version 4 (source: "Signature Calculations for the Authorization Header"). sum is the
// hex SHA-256 of the body, or unsigned.
func sign(req *http.Request, id, secret, sum string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	date := stamp[:8]
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", sum)
	const signed = "host;x-amz-content-sha256;x-amz-date"
	canonical := strings.Join([]string{req.Method, req.URL.EscapedPath(), req.URL.RawQuery,
		"host:" + req.URL.Host, "x-amz-content-sha256:" + sum, "x-amz-date:" + stamp, "", signed, sum}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	scope := date + "/" + Region + "/" + Service + "/aws4_request"
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(hash[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{date, Region, Service, "aws4_request"} {
		key = mac(key, part)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+id+"/"+scope+",SignedHeaders="+signed+",Signature="+hex.EncodeToString(mac(key, toSign)))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// escape percent-encodes all but AWS's unreserved characters.
func escape(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}
