package core_test

import (
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/storetest"
)

// smallDisk says how much is free.
type smallDisk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free := d.free.Load()
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: 100 << 30, UsedBytes: 100<<30 - free}, nil
}

// fills takes the last room of the disk while it is read.
type fills struct {
	s    *stele.Store
	disk *smallDisk
	n    int
}

func (f *fills) Read(p []byte) (int, error) {
	if f.n += len(p); f.n > 8<<20 {
		f.disk.free.Store(0)
		f.s.Rooms().Core.AskSpaceAgain()
	}
	if f.n > 200<<20 {
		return 0, errors.New("nobody stopped the stream")
	}
	return len(p), nil
}

// TestStreamEndsAtTheReserve: a body that does not say how long it is leaves the reserve alone, and what frees space or says no goes on.
func TestStreamEndsAtTheReserve(t *testing.T) {
	disk := &smallDisk{FS: vfs.NewMem()}
	disk.free.Store(50 << 30)
	s := storetest.NewMem(t, stele.Options{FS: disk})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.Put(t, s, "books", "a", []byte("x"))
	u := storetest.BeginUpload(t, s, "up")
	p := storetest.PutPart(t, s, u, 1, []byte("x"))
	if _, err := s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "books", Key: "b", Body: &fills{s: s, disk: disk}, Size: -1}); !errors.Is(err, stele.ErrFull) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Multipart().Complete(ctx, stele.CompleteRequest{By: stele.Local(), Bucket: "books", Key: "up", Upload: u.ID, Parts: []stele.Part{p}}); !errors.Is(err, stele.ErrFull) {
		t.Errorf("complete: %v", err)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "a"}); string(got) != "x" {
		t.Errorf("%q", got)
	}
	if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "books", Key: "a"}); err != nil {
		t.Error(err)
	}
	if _, err := s.Multipart().Abort(ctx, stele.Local(), "books", "up", u.ID); err != nil {
		t.Error(err)
	}
	if err := s.Failed(); err != nil {
		t.Errorf("a full disk is no failure: %v", err)
	}
	if err := s.Room(); !errors.Is(err, stele.ErrFull) {
		t.Errorf("room on a full disk: %v", err)
	}
}

// TestStoredBytesCountWhatGrows: what lies in a pack that is not sealed yet is on disk.
func TestStoredBytesCountWhatGrows(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	body := make([]byte, 1<<20)
	rand.Read(body)
	storetest.Put(t, s, "books", "a", body)
	st, err := s.Stats(ctx)
	if err != nil || st.StoredBytes < int64(len(body)) || st.StoredBytes > 2*int64(len(body)) {
		t.Errorf("%d bytes stored for a body of %d, %v", st.StoredBytes, len(body), err)
	}
}
