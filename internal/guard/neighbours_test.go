package guard

import "testing"

func TestNeighbours(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"2001:db8:1:3::9": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64", "": "", "uid=1000": "uid=1000",
	} {
		if got := Neighbours(address); got != want {
			t.Errorf("%s has its share with %s, want %s", address, got, want)
		}
	}
}
