package s3api

import (
	"testing"

	"stele"
	"stele/internal/s3api/auth"
)

// TestStrangersShareByNetwork: whoever comes from one address of an IPv6 network could come from another the next time, and shares with himself.
func TestStrangersShareByNetwork(t *testing.T) {
	owner := func(address string) string {
		return (&call{auth: &auth.Identity{}, by: stele.Actor{Address: address}}).owner()
	}
	if a, b := owner("2001:db8:1:2::1"), owner("2001:db8:1:2:ffff::2"); a != b {
		t.Errorf("two addresses of one network have shares of their own: %s, %s", a, b)
	}
	if a, b := owner("2001:db8:1:2::1"), owner("2001:db8:1:3::1"); a == b {
		t.Errorf("two networks share: %s", a)
	}
	if a, b := owner("192.0.2.1"), owner("192.0.2.2"); a == b {
		t.Errorf("two IPv4 addresses share: %s", a)
	}
}
