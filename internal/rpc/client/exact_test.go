package client

import (
	"encoding/json"
	"errors"
	"testing"

	"stele"
	"stele/internal/rpc"
)

// TestArgumentsAreExact: a name that is not UTF-8 is refused before it travels. The server would get another name.
func TestArgumentsAreExact(t *testing.T) {
	for _, s := range []string{"caf\xe9", "\xff", `\` + "\xff", "a\xed\xa0\x80"} {
		if b, err := marshal(rpc.PutArgs{Bucket: "box", Key: s}); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("%q travels as %s (%v)", s, b, err)
		}
		if b, err := marshal(stele.ListRequest{Bucket: "box", Prefix: s}); err == nil {
			t.Errorf("%q travels as %s", s, b)
		}
	}
	for _, s := range []string{"café", "\uFFFD", `\ufffd`, `\\ufffd`, "\x00\u2028", `"\`} {
		b, err := marshal(rpc.PutArgs{Bucket: "box", Key: s})
		var back rpc.PutArgs
		if err != nil || json.Unmarshal(b, &back) != nil || back.Key != s {
			t.Errorf("%q travels as %s (%v)", s, b, err)
		}
	}
}
