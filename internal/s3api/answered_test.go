package s3api

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"stele"
)

// TestAnswered: each request is told once, with its operation and status, whether or not a line of log is kept, and also where the reply was cut off.
func TestAnswered(t *testing.T) {
	ctx := context.Background()
	s, err := stele.Create(ctx, filepath.Join(t.TempDir(), "data"), stele.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.CreateBucket(ctx, stele.Local(), "bucket", false)
	if err == nil {
		_, err = s.SetSetting(ctx, stele.Local(), "bucket", stele.SettingPolicy, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}`)
	}
	if err == nil {
		_, err = s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "bucket", Key: "key", Body: strings.NewReader("x"), Size: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path string
		op                 string
		status             int
		cut                bool
	}{
		{"refused", "PUT", "/bucket/key", "PutObject", 403, false},
		{"done", "GET", "/bucket/key", "GetObject", 200, false},
		{"cut off", "GET", "/bucket/key", "GetObject", 200, true},
	} {
		if c.cut {
			get := operations[OpGetObject]
			defer func() { operations[OpGetObject] = get }()
			operations[OpGetObject] = func(c *call) error { // as where damage is met in the middle of a body
				return errors.Join(get(c), errors.New("damaged"))
			}
		}
		told := make(chan Answer, 9)
		var lines strings.Builder
		for _, log := range []*slog.Logger{nil, slog.New(slog.NewTextHandler(&lines, nil))} {
			h := NewHandler(s, Options{Log: log, Answered: func(a Answer) { told <- a }})
			func() {
				defer func() {
					if got := recover() != nil; got != c.cut {
						t.Errorf("%s: cut off: %v", c.name, got)
					}
				}()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(c.method, c.path, nil))
			}()
			if len(told) != 1 {
				t.Fatalf("%s: told %d times", c.name, len(told))
			}
			if a := <-told; a.Op != c.op || a.Status != c.status {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
		if text := lines.String(); strings.Count(text, "msg=s3 ") != 1 || c.cut && !strings.Contains(text, "reason=") {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}
