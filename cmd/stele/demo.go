package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele/entry"
	"stele/internal/node"
	"stele/internal/s3api"
)

type demoCmd struct {
	Keep string `placeholder:"DIR" help:"An empty or missing folder to work in, which stays; without it a temporary one that is removed."`

	Ransomware demoRansomwareCmd `cmd:"" help:"A stolen admin key deletes everything, versions included; plain S3 reads it all back."`
	Tamper     demoTamperCmd     `cmd:"" help:"Root edits a data byte, then the ledger itself: the first is healed, the second convicted."`
	Fire       demoFireCmd       `cmd:"" help:"The server is lost; the target serves in seconds, and a drill had proven that it would."`
}

// story is a demonstration under way: real stores in a folder, real requests over loopback. It fails if anything is not as it tells.
type story struct {
	a      *app
	name   string
	folder string
	start  time.Time
	proven []string
	undo   []func() error
}

// tell runs a story in its folder and prints what it proved.
func (c *demoCmd) tell(a *app, name string, run func(d *story) error) (err error) {
	d := &story{a: a, name: name, folder: c.Keep, start: time.Now()}
	if d.folder == "" {
		if d.folder, err = os.MkdirTemp("", "stele-demo-"); err != nil {
			return fmt.Errorf("couldn't make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	} else if left, rerr := os.ReadDir(d.folder); rerr == nil && len(left) > 0 {
		return usage{fmt.Errorf("%s is not empty: --keep takes an empty or missing folder", d.folder)}
	}
	err = run(d)
	for i := len(d.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, d.undo[i]())
	}
	if err != nil {
		return fmt.Errorf("the demonstration failed, and with it what it was to prove: %w", err)
	}
	return d.end(c.Keep != "")
}

func (d *story) end(kept bool) error {
	if d.a.cli.JSON {
		return d.a.document(map[string]any{"v": 1, "demo": d.name, "seconds": time.Since(d.start).Seconds(), "proven": d.proven})
	}
	fmt.Fprintf(d.a.stdout, "\n%s\n", d.a.bold("Proven:"))
	for _, p := range d.proven {
		fmt.Fprintf(d.a.stdout, "  - %s\n", p)
	}
	if kept {
		fmt.Fprintf(d.a.stdout, "The stores are in %s: look at them with the other verbs.\n", d.folder)
	}
	return nil
}

// step says what happens next.
func (d *story) step(format string, args ...any) {
	d.a.say("%6.2f s  %s", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func (d *story) proved(format string, args ...any) {
	d.proven = append(d.proven, fmt.Sprintf(format, args...))
}

func (d *story) path(name string) string { return filepath.Join(d.folder, name) }

// atEnd puts off what is to be done when the story ends, the last first.
func (d *story) atEnd(undo func() error) { d.undo = append(d.undo, undo) }

// serve puts the S3 door of a store on a port of the loopback interface and returns its address.
func (d *story) serve(s *node.Node) (address string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("couldn't listen on loopback: %w", err)
	}
	hs := &http.Server{Handler: s3api.NewHandler(s.Store, s3api.Options{}), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(l) }()
	return l.Addr().String(), func() error {
		err := hs.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}

// client is a stock S3 client, which knows nothing of Stele.
func (d *story) client(address string, k entry.AccessKey) (*minio.Client, error) {
	return minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(k.ID, k.Secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath})
}

var makeBucket = minio.MakeBucketOptions{Region: "us-east-1"}

// demoFiles is how many objects a story writes, demoBytes how long each is on average.
const (
	demoFiles = 200
	demoBytes = 16 << 10
)

// content makes the bytes of object n, the same at every call.
func (d *story) content(n int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	b := make([]byte, 1+r.IntN(2*demoBytes))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (d *story) key(n int) string { return fmt.Sprintf("2026/%02d/record-%04d.bin", 1+n%12, n) }

// fill writes the story's objects.
func (d *story) fill(ctx context.Context, c *minio.Client, bucket string) error {
	for n := range demoFiles {
		if err := upload(ctx, c, bucket, d.key(n), d.content(n)); err != nil {
			return err
		}
	}
	return nil
}
