package auth

import (
	"net/http"
	"strings"

	"stele/internal/s3api/wire"
)

// maxClaimed bounds a claimed key id, in bytes.
const maxClaimed = 128

// ClaimedKey is the id of the access key that a request names, believed or not. asked is the one of which a verifier has asked for the secret, "" if it has asked for none: a form
// names its key in its fields.
func ClaimedKey(h http.Header, q wire.Query, asked string) string {
	id := asked
	if id == "" {
		auth := wire.First(h, "Authorization")
		if _, rest, ok := strings.Cut(auth, "Credential="); ok {
			id, _, _ = strings.Cut(rest, "/")
		} else if v2, ok := strings.CutPrefix(auth, "AWS "); ok {
			id, _, _ = strings.Cut(v2, ":")
		} else if id, _, _ = strings.Cut(q.Get("X-Amz-Credential"), "/"); id == "" {
			id = q.Get("AWSAccessKeyId")
		}
	}
	return id[:min(len(id), maxClaimed)]
}
