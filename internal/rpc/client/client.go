package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/internal/rpc"
)

// Client is the store that a server holds.
type Client struct {
	Me func() (address, proof string) // of a standby's: its own admin address, which the primary keeps, and the proof that it may (stele.Store.FollowerProof); empty: not yet. nil: no standby's

	base   string
	http   *http.Client
	key    entry.AccessKey // empty on the socket
	hello  rpc.Greeting
	spoken string // how errors name the server
}

// Dial connects to a server's admin port. tr may be nil.
func Dial(ctx context.Context, server string, key entry.AccessKey, tr *http.Transport) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%q is no server: write http://HOST:9001 or https://HOST:9001, the admin address", server)
	}
	if tr == nil {
		tr = http.DefaultTransport.(*http.Transport).Clone()
	}
	tr.DisableCompression, tr.MaxIdleConnsPerHost = true, 64
	c := &Client{base: u.Scheme + "://" + u.Host, http: &http.Client{Transport: tr}, key: key, spoken: server}
	return c, c.greet(ctx)
}

func (c *Client) greet(ctx context.Context) (err error) {
	if c.hello, err = ask(ctx, c, rpc.Hello); err != nil {
		return err
	}
	if c.hello.Protocol != rpc.Protocol {
		return fmt.Errorf("%w: %d, this program %d. Use the same version of stele on both sides", rpc.ErrProtocol, c.hello.Protocol, rpc.Protocol)
	}
	return nil
}

// Close closes idle connections. The server's store stays open.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// ID returns the store id.
func (c *Client) ID() string { return c.hello.ID }

// Folder returns the data folder as the server names it.
func (c *Client) Folder() string { return c.hello.Store }

// Put streams the body to the server. Tee and Finish stay on this side of the wire and are refused.
func (c *Client) Put(ctx context.Context, q stele.PutRequest) (stele.Version, error) {
	if len(q.Tee) > 0 || q.Finish != nil {
		return stele.Version{}, errors.New("couldn't put through a server: Tee and Finish do not travel")
	}
	args, err := marshal(rpc.PutArgs{Bucket: q.Bucket, Key: q.Key, Size: q.Size, Headers: q.Headers, Meta: q.Meta, Tags: q.Tags, Lock: q.Lock, If: q.If})
	if err != nil {
		return stele.Version{}, err
	}
	body := q.Body
	if body == nil {
		body = strings.NewReader("")
	}
	src := &source{r: body}
	resp, err := c.post(ctx, rpc.Put.Row(), args, src, q.Size, nil)
	if failed := src.failed(); failed != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return stele.Version{}, failed // what failed was reading the source, not the way
	}
	if err != nil {
		return stele.Version{}, err
	}
	defer resp.Body.Close()
	v, err := decode[rpc.Version](resp)
	if errors.Is(err, errBrokeOff) {
		err = lost(rpc.Put.Row(), err)
	}
	return v.Decode(), err
}

// source remembers the error that ended a body.
type source struct {
	r   io.Reader
	mu  sync.Mutex // a reply that comes early, or a connection that breaks off, leaves the transport reading
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

// failed returns the error with which reading ended; nil at its end, and before.
func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Head returns the version that a place names. stele.ErrNoKey: there is none, or a delete marker is the latest, which the Version then says; stele.ErrMarker: a version id names a marker.
func (c *Client) Head(ctx context.Context, at stele.Place) (stele.Version, error) {
	v, err := invoke(ctx, c, rpc.Head, at)
	return v.Decode(), err
}

// OpenBody streams the body of the version that v.Entry wrote.
func (c *Client) OpenBody(ctx context.Context, v stele.Version, off, n int64) (io.ReadCloser, error) {
	resp, err := c.stream(ctx, rpc.OpenBody.Row(), rpc.BodyArgs{Entry: v.Entry, Off: off, N: n})
	if err != nil {
		return nil, err
	}
	return &streamed{resp}, nil
}

// Hide hides a version, or adds a delete marker; hiding what is not there succeeds. A *stele.RetentionError if a lock forbids it.
func (c *Client) Hide(ctx context.Context, q stele.HideRequest) (stele.HideResult, error) {
	return invoke(ctx, c, rpc.Hide, q)
}

// List returns a page of current objects, in order of key. stele.ErrNoBucket.
func (c *Client) List(ctx context.Context, q stele.ListRequest) (stele.Page, error) {
	p, err := invoke(ctx, c, rpc.List, q)
	return p.Decode(), err
}

// ListVersions returns a page of the versions and markers that S3 shows, newest first within a key. stele.ErrNoBucket.
func (c *Client) ListVersions(ctx context.Context, q stele.ListRequest) (stele.Page, error) {
	p, err := invoke(ctx, c, rpc.ListVersions, q)
	return p.Decode(), err
}

// History returns a page of the changes of a key, newest first, and whether there are more. stele.ErrNoBucket, stele.ErrNoKey: there was never one.
func (c *Client) History(ctx context.Context, q stele.HistoryRequest) ([]stele.Change, bool, error) {
	p, err := invoke(ctx, c, rpc.History, q)
	return p.Changes, p.More, err
}

// WhyGone implements Store.
func (c *Client) WhyGone(ctx context.Context, bucket, key string, at stele.View) (stele.Gone, bool, error) {
	g, err := invoke(ctx, c, rpc.WhyGone, rpc.NameArgs{Bucket: bucket, Key: key, At: at})
	if g == nil {
		return stele.Gone{}, false, err
	}
	return *g, err == nil, err
}

// Buckets returns the buckets of a view, in order of name.
func (c *Client) Buckets(ctx context.Context, at stele.View) ([]stele.Bucket, error) {
	return invoke(ctx, c, rpc.Buckets, rpc.NameArgs{At: at})
}

// Bucket returns the bucket that has a name in a view. stele.ErrNoBucket: none; stele.ErrFuture: the view is beyond the ledger.
func (c *Client) Bucket(ctx context.Context, name string, at stele.View) (stele.Bucket, error) {
	return invoke(ctx, c, rpc.Bucket, rpc.NameArgs{Bucket: name, At: at})
}

// CreateBucket makes a bucket. stele.ErrBucketExists: one of that name is alive.
func (c *Client) CreateBucket(ctx context.Context, _ stele.Actor, name string, objectLock bool) (stele.Committed, error) {
	return invoke(ctx, c, rpc.CreateBucket, rpc.BucketArgs{Bucket: name, ObjectLock: objectLock})
}

// DeleteBucket deletes a bucket; views of the past keep showing it. stele.ErrBucketNotEmpty: S3 shows a version or a marker in it.
func (c *Client) DeleteBucket(ctx context.Context, _ stele.Actor, name string) (stele.Committed, error) {
	return invoke(ctx, c, rpc.DeleteBucket, rpc.BucketArgs{Bucket: name})
}

// SetVersioning switches versioning of a bucket on or suspends it. stele.ErrBadState: a bucket with object lock cannot suspend it.
func (c *Client) SetVersioning(ctx context.Context, _ stele.Actor, bucket string, to stele.Versioning) (stele.Committed, error) {
	return invoke(ctx, c, rpc.SetVersioning, rpc.BucketArgs{Bucket: bucket, Versioning: to})
}

// SetObjectLock switches object lock on, which needs versioning (else stele.ErrBadState), and sets the default retention. It cannot be switched off.
func (c *Client) SetObjectLock(ctx context.Context, _ stele.Actor, bucket string, def stele.Retention) (stele.Committed, error) {
	return invoke(ctx, c, rpc.SetObjectLock, rpc.BucketArgs{Bucket: bucket, Default: def})
}

// ViewAt finds the view that a moment names, by the server's clock, or a pinned view by its name. stele.ErrFuture, stele.ErrBeforeStore, stele.ErrBadMoment.
func (c *Client) ViewAt(ctx context.Context, when string) (stele.View, error) {
	return invoke(ctx, c, rpc.ViewAt, when)
}

// ParseBucket splits the name of a bucket as of a time, such as NAME--at-e123456, into the bucket's name and the view. Another name is returned as it is, with the present.
func (c *Client) ParseBucket(ctx context.Context, name string) (string, stele.View, error) {
	p, err := invoke(ctx, c, rpc.ParseBucket, name)
	return p.Name, p.At, err
}

// Pin gives a view a name. stele.ErrBadState: the name is taken; stele.ErrFuture: the ledger has not reached the view's size.
func (c *Client) Pin(ctx context.Context, _ stele.Actor, name string, at stele.View) (stele.Pinned, error) {
	return invoke(ctx, c, rpc.Pin, rpc.PinArgs{Name: name, At: at})
}

// Views returns the pinned views, in order of name.
func (c *Client) Views(ctx context.Context) ([]stele.Pinned, error) {
	return ask(ctx, c, rpc.Views)
}

// PromoteFrom makes the primary of a server that serves from a backup.
func (c *Client) PromoteFrom(ctx context.Context, reason string) (stele.Promotion, error) {
	return invoke(ctx, c, rpc.PromoteFrom, reason)
}

// Hydration returns how far the folder of a server that serves from a backup is filled; nil for another server.
func (c *Client) Hydration(ctx context.Context) (*stele.Hydration, error) {
	return ask(ctx, c, rpc.Hydration)
}

// AddTarget adds a target, which the server opens and compares with its store first, or changes the settings of one whose URL stays. A target that has held entries, and holds none now, is refused: see AddTargetAnew.
func (c *Client) AddTarget(ctx context.Context, _ stele.Actor, spec stele.TargetSpec) (stele.Committed, error) {
	return invoke(ctx, c, rpc.AddTarget, spec)
}

// AddTargetAnew runs on the server, which takes it on its socket only.
func (c *Client) AddTargetAnew(ctx context.Context, _ stele.Actor, spec stele.TargetSpec, kit []byte) (stele.Committed, error) {
	return invoke(ctx, c, rpc.AddTargetAnew, rpc.AnewArgs{Spec: spec, Kit: kit})
}

// RemoveTarget ends the shipping to a target; what lies there stays. It returns when the target goes: zero: now, which takes the recovery kit's text, given on the server's machine. stele.ErrNoTarget.
func (c *Client) RemoveTarget(ctx context.Context, _ stele.Actor, name string, kit []byte) (time.Time, error) {
	return invoke(ctx, c, rpc.RemoveTarget, rpc.RemoveArgs{Name: name, Kit: kit})
}

// CancelRemoval keeps a target that waits for its removal. stele.ErrNoTarget.
func (c *Client) CancelRemoval(ctx context.Context, _ stele.Actor, name string) (stele.Committed, error) {
	return invoke(ctx, c, rpc.CancelRemoval, name)
}

// Targets says how every target stands, in order of name. Secret keys are left out.
func (c *Client) Targets(ctx context.Context) ([]stele.TargetStatus, error) {
	return ask(ctx, c, rpc.Targets)
}

// FlushTargets has the server ship all that is committed now, and returns when every target has it, or why one has not. stele.ErrReadOnly: the server's store takes no writes and ships nothing.
func (c *Client) FlushTargets(ctx context.Context) error {
	_, err := ask(ctx, c, rpc.FlushTargets)
	return err
}

// Verify runs on the server; its progress and what it finds are streamed.
func (c *Client) Verify(ctx context.Context, opt stele.VerifyOptions) (report fsck.Report, err error) {
	err = lines(ctx, c, rpc.Verify, rpc.VerifyArgs{Deep: opt.Deep, Heal: opt.Heal}, func(l rpc.VerifyLine) error {
		if l.Total > 0 && opt.Progress != nil {
			opt.Progress(l.Done, l.Total)
		}
		if l.Problem != nil && opt.Problem != nil {
			opt.Problem(*l.Problem)
		}
		if l.Report != nil {
			report = l.Report.Decode()
		}
		return nil
	})
	return report, err
}

// DrillTarget runs on the server.
func (c *Client) DrillTarget(ctx context.Context, _ stele.Actor, q stele.DrillRequest) (stele.Drilled, error) {
	return invoke(ctx, c, rpc.DrillTarget, q)
}

// RestorePart runs on the server; what it changes is streamed. Where it ends early the report is that of the changes told until then.
func (c *Client) RestorePart(ctx context.Context, q stele.PartRestore) (report stele.PartReport, err error) {
	call := rpc.RestorePart
	if q.DryRun {
		call = rpc.ComparePart
	}
	err = lines(ctx, c, call, rpc.PartArgs{Bucket: q.Bucket, Key: q.Key, To: q.To, Reason: q.Reason, At: q.At, HideNewer: q.HideNewer}, func(l rpc.PartLine) error {
		switch {
		case l.Change != nil && q.Change != nil:
			return q.Change(*l.Change)
		case l.Done != nil && q.Progress != nil:
			q.Progress(*l.Done)
		case l.Report != nil:
			report = *l.Report
		}
		return nil
	})
	return report, err
}

// Scrubbed says how far the server's rolling scrub is.
func (c *Client) Scrubbed(ctx context.Context) (stele.ScrubStatus, error) {
	return ask(ctx, c, rpc.Scrubbed)
}

// HideBursts returns the bursts of hides that nobody has seen yet.
func (c *Client) HideBursts(ctx context.Context) ([]stele.HideBurst, error) {
	return ask(ctx, c, rpc.HideBursts)
}

// SeeHides notes that a person has seen the bursts of hides that there are: they are no alarm any more. The key that made one of them may not say so.
func (c *Client) SeeHides(ctx context.Context, _ stele.Actor) (stele.Committed, error) {
	return ask(ctx, c, rpc.SeeHides)
}

// Stats returns the figures of the server's store: entries, objects, bytes, and what is wrong.
func (c *Client) Stats(ctx context.Context) (stele.Stats, error) {
	return ask(ctx, c, rpc.Stats)
}

// Ready returns why the server takes no writes, or nil.
func (c *Client) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+rpc.PathReady, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("couldn't reach the server at %s: %w", c.spoken, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}
