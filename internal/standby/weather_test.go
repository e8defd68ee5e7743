package standby

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/rpc/client"
)

// crash is a power cut of the primary: what is on its disk now is opened by another process, after its tails were recovered into fresh files.
func (r *rig) crash() {
	r.t.Helper()
	fs := vfs.NewMem()
	copyFS(r.t, r.fs, fs, "primary") // with its tails, as they are
	r.become(fs)
}

// counting notes which files are read from their beginning.
type counting struct {
	Primary
	begun map[string]int
}

func (c counting) ReplicaRead(ctx context.Context, name string, off int64) (stele.ReplicaFile, []byte, error) {
	if off == 0 {
		c.begun[name]++
	}
	return c.Primary.ReplicaRead(ctx, name, off)
}

// TestPrimaryCrash: a primary that crashes copies its tails into files of its own: a segment of the same name and other bytes, packs of other names. A standby that had a part of the old ones
// takes the new ones in their place, whether the crash comes before it was admitted, when it is level, or when it is behind; and goes on, also after it was itself started anew.
func TestPrimaryCrash(t *testing.T) {
	for _, behind := range []int{0, 1, 30} {
		for _, anew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d behind, anew %v", behind, anew), func(t *testing.T) {
				r := newRig(t)
				r.admit()
				begun := map[string]int{}
				r.wrap = func(p Primary) Primary { return counting{p, begun} }
				s := r.open()
				for round := range 4 {
					for i := range 5 {
						r.put(fmt.Sprintf("%d/k%d", round, i), 3000, uint64(i))
					}
					catchUp(t, r, s)
					for i := range behind {
						r.put(fmt.Sprintf("%d/b%d", round, i), 3000, uint64(i))
					}
					r.crash()
					if anew {
						must(t, s.Close())
						s = r.open()
					}
					s.primary = nil
					catchUp(t, r, s)
					r.check("the standby of a primary that crashed", s)
				}
				must(t, s.Close())
				replaced := false
				for name, n := range begun {
					replaced = replaced || strings.HasPrefix(name, "segments/") && n > 1
				}
				if !replaced {
					t.Fatalf("no segment was fetched anew: %v", begun)
				}
				p := r.promote(0)
				r.same("the standby, promoted", r.primary().Store)
				if p.Cut == 0 {
					t.Fatal("it was promoted with nothing")
				}
				verified(t, r.primary(), 0)
			})
		}
	}
}

// TestPrimaryLostTail: a crash that took what was accepted here is a rollback, not a replacement.
func TestPrimaryLostTail(t *testing.T) {
	r := newRig(t)
	r.admit()
	r.put("k", 3000, 1)
	fs := vfs.NewMem()
	copyFS(t, r.fs, fs, "primary")
	s := r.open()
	for i := range 10 { // more than a start writes by itself, such as the seals of packs: with as many entries it would be a fork
		r.put(fmt.Sprint("lost", i), 3000, uint64(i))
	}
	catchUp(t, r, s)
	r.become(fs)
	s.primary = nil
	r.frozen(s, "rollback")
	must(t, s.Close())
}

// proxy is a way to a server whose connections break off after some bytes of answers.
type proxy struct {
	listener net.Listener
	to       string

	mu   sync.Mutex
	left int // bytes that still come through; below 0: no limit
	cuts int
	all  map[net.Conn]bool
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, to: to, left: -1, all: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); p.close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *proxy) limit(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.all {
		c.Close()
	}
}

// Write lets through what may come through, and fails at the cut.
func (p *proxy) through(c net.Conn) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		n := len(b)
		if p.left >= 0 {
			n = min(n, p.left)
			p.left -= n
		}
		if n < len(b) {
			p.cuts++
			p.left = -1 // the next connection goes through, until another limit is set
		}
		p.mu.Unlock()
		k, err := c.Write(b[:n])
		if err == nil && n < len(b) {
			err = errors.New("cut")
		}
		return k, err
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (p *proxy) carry(c net.Conn) {
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.all[c], p.all[up] = true, true
	p.mu.Unlock()
	done := make(chan bool, 2)
	go func() { io.Copy(up, c); done <- true }()
	go func() { io.Copy(p.through(c), up); done <- true }()
	<-done
	c.Close()
	up.Close()
	<-done
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, c)
	delete(p.all, up)
}

// TestCut: the connection breaks off anywhere, in the middle of a state, a list, a pack or a segment: the standby asks again, and in the end has the same, byte for byte.
func TestCut(t *testing.T) {
	r := newRig(t)
	for i := range 60 {
		r.put(fmt.Sprintf("k%d", i), 3000, uint64(i))
	}
	r.put("large", 400<<10, 1)
	server := httptest.NewServer(admin.NewServer(admin.Options{Store: r.primary(), Authenticate: func(q *http.Request) (admin.Signed, error) {
		return admin.Signed{Key: entry.AccessKey{ID: "eye", Role: stele.RoleAuditor}, Body: func() (io.Reader, error) { return q.Body, nil }}, nil
	}}).Port())
	defer server.Close()
	way := newProxy(t, server.Listener.Addr().String())
	r.sopt.Dial = func(ctx context.Context) (Primary, error) {
		return client.Dial(ctx, "http://"+way.listener.Addr().String(), entry.AccessKey{ID: "eye", Secret: "x"}, nil)
	}
	r.admit()
	s := r.open()
	cut, at := 0, 50
	for i := 0; s.store.Follow.Here() < r.primary().Ledger().Size(); i++ {
		if i > 500 {
			t.Fatalf("after %d cuts %d entries of %d are here", cut, s.store.Follow.Here(), r.primary().Ledger().Size())
		}
		way.limit(at)
		at += at/3 + 211 // further each time, so that in the end something gets through
		if err := s.round(t.Context(), false); err != nil {
			cut++
			var frozen *FrozenError
			var own *localError
			if errors.As(err, &frozen) || errors.As(err, &own) {
				t.Fatalf("a cut is taken for more than that: %v", err)
			}
			s.primary = nil
		}
	}
	if way.cuts < 10 {
		t.Fatalf("only %d cuts", way.cuts)
	}
	r.check("the standby behind cuts", s)
	must(t, s.Close())
}
