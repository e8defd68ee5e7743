package admin_test

import (
	"os/user"
	"runtime"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/admin"
)

// TestPeer: what comes over the socket is recorded with the user of the operating system whose process asked, not with what the request claims.
func TestPeer(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("the kernel is asked on linux and darwin")
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	c := serve(t, s, admin.NewServer(admin.Options{Store: s}).Socket())
	if _, err := c.CreateBucket(t.Context(), stele.LocalUser("4711", "mallory"), "docs", false); err != nil {
		t.Fatal(err)
	}
	var by entry.Private
	if err := s.Ledger().Log(t.Context(), stele.LogQuery{Types: []entry.Type{entry.BucketCreate}}, func(e *entry.Entry) error { by = e.Private; return nil }); err != nil {
		t.Fatal(err)
	}
	if by.Actor != "local:"+u.Username || by.Address != "uid "+u.Uid || by.Request == "" {
		t.Errorf("the entry is by %q at %q, request %q, want local:%s at uid %s", by.Actor, by.Address, by.Request, u.Username, u.Uid)
	}
	if me := admin.ThisUser(); me != stele.LocalUser(u.Uid, u.Username) {
		t.Errorf("this process is %+v", me)
	}
}
