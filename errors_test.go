package stele_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele"
	"stele/internal/body"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/ledger"
	"stele/internal/storetest"
)

// TestErrorsKeepTheirNames: what comes from below has a name that callers of this package know.
func TestErrorsKeepTheirNames(t *testing.T) {
	for below, want := range map[error]error{
		engine.ErrFull: stele.ErrFull, engine.ErrFailed: stele.ErrFailed, ledger.ErrFailed: stele.ErrFailed, body.ErrFailed: stele.ErrFailed, frame.ErrVersion: stele.ErrVersion, frame.ErrCorrupt: stele.ErrCorrupt,
		body.ErrErased: stele.ErrErased, body.ErrReadOnly: stele.ErrReadOnly, body.ErrClosed: stele.ErrClosed, ledger.ErrClosed: stele.ErrClosed, body.ErrRange: stele.ErrBadRange, ledger.ErrForked: stele.ErrCorrupt, ledger.ErrRange: stele.ErrFuture,
	} {
		if err := core.Translate(fmt.Errorf("couldn't: %w", below)); !errors.Is(err, want) || !errors.Is(err, below) {
			t.Errorf("%v: %v", below, err)
		}
	}
	// A failure that has a reason keeps both, and a full disk is not called failed.
	if err := core.Translate(fmt.Errorf("%w: %w", body.ErrFailed, errors.New("EIO"))); !errors.Is(err, stele.ErrFailed) || !strings.Contains(err.Error(), "EIO") {
		t.Error(err)
	}
}

// TestCutOff: a source that says it ended too early is an incomplete body, whatever it calls that.
func TestCutOff(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	for name, c := range map[string]struct {
		body io.Reader
		size int64
		want error
	}{
		"short":          {strings.NewReader("abc"), 5, stele.ErrIncomplete},
		"connection cut": {io.MultiReader(strings.NewReader("abc"), failing{io.ErrUnexpectedEOF}), 5, stele.ErrIncomplete},
		"long":           {strings.NewReader("abcdef"), 5, stele.ErrTooLong},
		"long stream":    {bytes.NewReader(make([]byte, 1<<20+1)), 1 << 20, stele.ErrTooLong},
		"short stream":   {bytes.NewReader(make([]byte, 1<<20-1)), 1 << 20, stele.ErrIncomplete},
		"empty and long": {strings.NewReader("a"), 0, stele.ErrTooLong},
		"source fails":   {io.MultiReader(strings.NewReader("abc"), failing{errSource}), 5, errSource},
	} {
		if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "a", Body: c.body, Size: c.size}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Head(ctx, stele.Place{Bucket: "books", Key: "a"}); !errors.Is(err, stele.ErrNoKey) {
			t.Errorf("%s: something was stored (%v)", name, err)
		}
	}
}

var errSource = errors.New("the source failed")

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestReadOnlyWritesNothing: every change is ErrReadOnly and no file is another one afterwards.
func TestReadOnlyWritesNothing(t *testing.T) {
	fs := vfs.NewMem()
	s := storetest.NewMem(t, stele.Options{FS: fs})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	v := storetest.Put(t, s, "books", "a", []byte("the first"))
	u := storetest.BeginUpload(t, s, "up")
	p := storetest.PutPart(t, s, u, 1, []byte("x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := reviewFiles(t, fs, "data")
	s, err := stele.Open(ctx, "data", stele.Options{FS: fs, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Failed(); err != nil {
		t.Errorf("a reader has failed: %v", err)
	}
	calls := everyCall(s, v)
	calls["Multipart.Complete"] = func() error {
		_, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "up", Upload: u.ID, Parts: []stele.Part{p}})
		return err
	}
	calls["Multipart.PutPart"] = func() error {
		_, err := s.Multipart().PutPart(ctx, stele.PartRequest{By: stele.Local(), Bucket: "books", Key: "up", Upload: u.ID, Number: 1, Body: strings.NewReader("x"), Size: 1})
		return err
	}
	for _, name := range []string{"Put", "Copy", "Hide", "CreateBucket", "DeleteBucket", "SetVersioning", "SetObjectLock", "SetSetting", "SetRetention", "SetHold", "SetTags",
		"Keys.Create", "Keys.Revoke", "Multipart.Create", "Multipart.PutPart", "Multipart.Complete", "Multipart.Abort", "Pin"} {
		if err := calls[name](); !errors.Is(err, stele.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
		delete(calls, name)
	}
	for name, call := range calls {
		if err := call(); errors.Is(err, stele.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Denied(stele.Local(), "x")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if after := reviewFiles(t, fs, "data"); !maps.Equal(before, after) {
		for name, b := range after {
			if before[name] != b {
				t.Errorf("%s was written", name)
			}
		}
		for name := range before {
			if _, ok := after[name]; !ok {
				t.Errorf("%s was removed", name)
			}
		}
	}
}

func reviewFiles(t *testing.T, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(out, reviewFiles(t, fs, path))
			continue
		}
		b, err := core.ReadFile(fs, path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(b)
	}
	return out
}

// TestOneFailureEndsAllWriting: after one failed fsync, of a pack or of a segment, nothing is written any more by any call, and each says so.
func TestOneFailureEndsAllWriting(t *testing.T) {
	for _, what := range []string{"packs_", "segments_"} {
		t.Run(what, func(t *testing.T) {
			bad := false
			mem := vfs.NewMem()
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if bad && strings.Contains(op.Path, what) && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
					return errors.New("EIO")
				}
				return nil
			}))
			s := storetest.NewMem(t, stele.Options{FS: fs})
			storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
			v := storetest.Put(t, s, "books", "a", []byte("the first"))
			bad = true
			if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "b", Body: strings.NewReader("second"), Size: 6}); !errors.Is(err, stele.ErrFailed) {
				t.Errorf("the first: %v", err)
			}
			bad = false
			if err := s.Failed(); !errors.Is(err, stele.ErrFailed) {
				t.Errorf("Failed says %v", err)
			}
			calls := everyCall(s, v)
			for _, name := range []string{"Put", "Copy", "Hide", "CreateBucket", "DeleteBucket", "SetVersioning", "SetSetting", "SetTags", "Keys.Create", "Multipart.Create", "Pin"} {
				if err := calls[name](); !errors.Is(err, stele.ErrFailed) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a"}); string(got) != "the first" {
				t.Errorf("%q", got)
			}
		})
	}
}
