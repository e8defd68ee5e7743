package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stele"
	"stele/entry"
)

// TestAnswerIsLost: a server dies before it answers, or in the middle of its answer. Who asked for a change is told that it may have been made, and who only asked is not.
func TestAnswerIsLost(t *testing.T) {
	const known = `{"v":1,"result":{"Protocol":1,"ID":"id","VKey":"vkey","Store":"/data"}}`
	for _, begins := range []bool{false, true} {
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/Hello" {
				_, _ = w.Write([]byte(known))
				return
			}
			if begins {
				w.Header().Set("Content-Length", "100")
				_, _ = w.Write([]byte(known[:20]))
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		}))
		t.Cleanup(ts.Close)
		c, err := Dial(t.Context(), ts.URL, entry.AccessKey{ID: "id", Secret: "secret"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]struct {
			err  func() error
			said bool
		}{
			"hide": {func() error { _, err := c.Hide(t.Context(), stele.HideRequest{Bucket: "box", Key: "a"}); return err }, true},
			"put": {func() error {
				_, err := c.Put(t.Context(), stele.PutRequest{Bucket: "box", Key: "a", Body: strings.NewReader("bytes"), Size: 5})
				return err
			}, true},
			"head": {func() error { _, err := c.Head(t.Context(), stele.Place{Bucket: "box", Key: "a"}); return err }, false},
		} {
			err := call.err()
			if err == nil || !strings.Contains(err.Error(), "broke off") || strings.Contains(err.Error(), "Whether the change was made is not known") != call.said {
				t.Errorf("%s, answer begun %v: %v", name, begins, err)
			}
		}
		ts.Close()
		if _, err := c.Hide(t.Context(), stele.HideRequest{Bucket: "box", Key: "a"}); err == nil || !strings.Contains(err.Error(), "couldn't reach") || strings.Contains(err.Error(), "not known") {
			t.Errorf("nobody listens: %v", err)
		}
	}
}
