package admin

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/tree"
)

// Client is the store that a server holds.
type Client struct {
	Me func() (address, proof string) // of a standby's: its own admin address, which the primary keeps, and the proof that it may (stele.Store.FollowerProof); empty: not yet. nil: no standby's

	base   string
	http   *http.Client
	key    entry.AccessKey // empty on the socket
	hello  hello
	spoken string // how errors name the server
}

const trailerError = "Stele-Error"

// DialSocket connects to the server on a unix socket.
func DialSocket(ctx context.Context, path string) (*Client, error) {
	c := socketClient(path)
	return c, c.greet(ctx)
}

func socketClient(path string) *Client {
	var d net.Dialer
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }}
	return &Client{base: "http://stele", http: &http.Client{Transport: tr}, spoken: path}
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
	if c.hello, err = invoke[hello](ctx, c, "Hello", nil); err != nil {
		return err
	}
	if c.hello.Protocol != protocol {
		return fmt.Errorf("%w: %d, this program %d. Use the same version of stele on both sides", ErrProtocol, c.hello.Protocol, protocol)
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

// VKey returns the verifier key, as it was at the time of Dial.
func (c *Client) VKey() string { return c.hello.VKey }

// Folder returns the data folder as the server names it.
func (c *Client) Folder() string { return c.hello.Store }

type reply[R any] struct {
	V      int        `json:"v"`
	Result R          `json:"result"`
	Error  *wireError `json:"error,omitempty"`
}

// invoke makes a call whose argument and result are small. A result may come with an error.
func invoke[R any](ctx context.Context, c *Client, method string, arg any) (result R, err error) {
	body, err := marshal(arg)
	if err != nil {
		return result, err
	}
	resp, err := c.post(ctx, method, "", bytes.NewReader(body), int64(len(body)), body)
	if err != nil {
		return result, err
	}
	defer resp.Body.Close()
	return decode[R](resp)
}

func decode[R any](resp *http.Response) (result R, err error) {
	var out reply[R]
	b, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return result, fmt.Errorf("the server's answer broke off: %w", err)
	}
	if err := json.Unmarshal(b, &out); err != nil || out.V != 1 {
		return result, fmt.Errorf("%w: it answered %s. Name the admin address, as `stele serve` printed it: port 9001 unless it was set otherwise, not the one of S3", ErrProtocol, resp.Status)
	}
	return out.Result, out.Error.err()
}

// post sends one request. signed is the body where it is small enough to be signed, else nil.
func (c *Client) post(ctx context.Context, method, args string, body io.Reader, size int64, signed []byte) (*http.Response, error) {
	target := c.base + "/v1/" + method
	if args != "" {
		target += "?q=" + escape(args)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, err
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/json")
	if c.key.ID != "" {
		sum := unsigned
		if signed != nil {
			h := sha256.Sum256(signed)
			sum = hex.EncodeToString(h[:])
		}
		sign(req, c.key.ID, c.key.Secret, sum, time.Now())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("couldn't reach the server at %s: %w", c.spoken, err)
	}
	return resp, nil
}

// Put streams the body to the server. Tee and Finish stay on this side of the wire and are refused.
func (c *Client) Put(ctx context.Context, q stele.PutRequest) (stele.Version, error) {
	if len(q.Tee) > 0 || q.Finish != nil {
		return stele.Version{}, errors.New("couldn't put through a server: Tee and Finish do not travel")
	}
	args, err := marshal(putArgs{q.Bucket, q.Key, q.Size, q.Headers, q.Meta, q.Tags, q.Lock, q.If})
	if err != nil {
		return stele.Version{}, err
	}
	body := q.Body
	if body == nil {
		body = strings.NewReader("")
	}
	src := &source{r: body}
	resp, err := c.post(ctx, "Put", string(args), src, q.Size, nil)
	if src.err != nil && src.err != io.EOF {
		if resp != nil {
			resp.Body.Close()
		}
		return stele.Version{}, src.err // what failed was reading the source, not the way
	}
	if err != nil {
		return stele.Version{}, err
	}
	defer resp.Body.Close()
	v, err := decode[wireVersion](resp)
	return v.version(), err
}

// source remembers the error that ended a body.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

func (c *Client) Head(ctx context.Context, at stele.Place) (stele.Version, error) {
	v, err := invoke[wireVersion](ctx, c, "Head", at)
	return v.version(), err
}

// OpenBody streams the body of the version that v.Entry wrote.
func (c *Client) OpenBody(ctx context.Context, v stele.Version, off, n int64) (io.ReadCloser, error) {
	resp, err := c.stream(ctx, "OpenBody", bodyArgs{v.Entry, off, n})
	if err != nil {
		return nil, err
	}
	return &streamed{resp}, nil
}

// stream makes a call whose result is not one JSON document.
func (c *Client) stream(ctx context.Context, method string, arg any) (*http.Response, error) {
	body, err := marshal(arg)
	if err != nil {
		return nil, err
	}
	resp, err := c.post(ctx, method, "", bytes.NewReader(body), int64(len(body)), body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		if _, err := decode[json.RawMessage](resp); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", ErrProtocol, resp.Status)
	}
	return resp, nil
}

// streamed is a body that ends well only if the trailer names no error.
type streamed struct{ resp *http.Response }

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.resp.Body.Read(p)
	if err == io.EOF {
		if e := trailerOf(s.resp); e != nil {
			return n, e
		}
	}
	return n, err
}

func (s *streamed) Close() error { return s.resp.Body.Close() }

func trailerOf(resp *http.Response) error {
	text, err := url.PathUnescape(resp.Trailer.Get(trailerError))
	if text == "" || err != nil {
		return fmt.Errorf("%w: the stream has no end mark", ErrProtocol)
	}
	var e *wireError
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	return e.err()
}

func (c *Client) Hide(ctx context.Context, q stele.HideRequest) (stele.HideResult, error) {
	return invoke[stele.HideResult](ctx, c, "Hide", q)
}

func (c *Client) Prove(ctx context.Context, at stele.Place) ([]byte, stele.Version, error) {
	p, err := invoke[proof](ctx, c, "Prove", at)
	return p.Receipt, p.Version.version(), err
}

// Consistency implements Store.
func (c *Client) Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error) {
	return invoke[[]tree.Hash](ctx, c, "Consistency", [2]uint64{from, to})
}

func (c *Client) List(ctx context.Context, q stele.ListRequest) (stele.Page, error) {
	p, err := invoke[wirePage](ctx, c, "List", q)
	return p.page(), err
}

func (c *Client) ListVersions(ctx context.Context, q stele.ListRequest) (stele.Page, error) {
	p, err := invoke[wirePage](ctx, c, "ListVersions", q)
	return p.page(), err
}

func (c *Client) History(ctx context.Context, bucket, key string) ([]stele.Change, error) {
	return invoke[[]stele.Change](ctx, c, "History", nameArgs{Bucket: bucket, Key: key})
}

// WhyGone implements Store.
func (c *Client) WhyGone(ctx context.Context, bucket, key string, at stele.View) (stele.Gone, bool, error) {
	g, err := invoke[*stele.Gone](ctx, c, "WhyGone", nameArgs{Bucket: bucket, Key: key, At: at})
	if g == nil {
		return stele.Gone{}, false, err
	}
	return *g, err == nil, err
}

func (c *Client) Buckets(ctx context.Context, at stele.View) ([]stele.Bucket, error) {
	return invoke[[]stele.Bucket](ctx, c, "Buckets", nameArgs{At: at})
}

func (c *Client) Bucket(ctx context.Context, name string, at stele.View) (stele.Bucket, error) {
	return invoke[stele.Bucket](ctx, c, "Bucket", nameArgs{Bucket: name, At: at})
}

func (c *Client) CreateBucket(ctx context.Context, _ stele.Actor, name string, objectLock bool) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "CreateBucket", bucketArgs{Bucket: name, ObjectLock: objectLock})
}

func (c *Client) DeleteBucket(ctx context.Context, _ stele.Actor, name string) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "DeleteBucket", bucketArgs{Bucket: name})
}

func (c *Client) SetVersioning(ctx context.Context, _ stele.Actor, bucket string, to stele.Versioning) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "SetVersioning", bucketArgs{Bucket: bucket, Versioning: to})
}

func (c *Client) SetObjectLock(ctx context.Context, _ stele.Actor, bucket string, def stele.Retention) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "SetObjectLock", bucketArgs{Bucket: bucket, Default: def})
}

func (c *Client) ViewAt(ctx context.Context, when string) (stele.View, error) {
	return invoke[stele.View](ctx, c, "ViewAt", when)
}

func (c *Client) ParseBucket(ctx context.Context, name string) (string, stele.View, error) {
	p, err := invoke[parsedBucket](ctx, c, "ParseBucket", name)
	return p.Name, p.At, err
}

func (c *Client) Pin(ctx context.Context, _ stele.Actor, name string, at stele.View) (stele.Pinned, error) {
	return invoke[stele.Pinned](ctx, c, "Pin", pinArgs{name, at})
}

func (c *Client) Views(ctx context.Context) ([]stele.Pinned, error) {
	return invoke[[]stele.Pinned](ctx, c, "Views", nil)
}

// Log streams the selected entries.
func (c *Client) Log(ctx context.Context, q stele.LogQuery, fn func(*entry.Entry) error) error {
	return lines(ctx, c, "Log", q, func(l EntryLine) error {
		e, err := l.Decode()
		if err != nil {
			return err
		}
		return fn(e)
	})
}

// lines calls fn for each line of a streamed answer. Its first error ends the call.
func lines[L any](ctx context.Context, c *Client, method string, arg any, fn func(L) error) error {
	resp, err := c.stream(ctx, method, arg)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for {
		var l L
		err := dec.Decode(&l)
		if err == io.EOF {
			return trailerOf(resp)
		}
		if err != nil {
			return fmt.Errorf("the server's answer broke off: %w", err)
		}
		if err := fn(l); err != nil {
			return err
		}
	}
}

func (c *Client) CreateKey(ctx context.Context, _ stele.Actor, role string, scope []string, rate int) (entry.AccessKey, error) {
	return invoke[entry.AccessKey](ctx, c, "CreateKey", keyArgs{Role: role, Scope: scope, Rate: rate})
}

func (c *Client) RevokeKey(ctx context.Context, _ stele.Actor, id string) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "RevokeKey", keyArgs{ID: id})
}

func (c *Client) Keys(ctx context.Context) ([]stele.KeyInfo, error) {
	return invoke[[]stele.KeyInfo](ctx, c, "Keys", nil)
}

// PromoteFrom makes the primary of a server that serves from a backup.
func (c *Client) PromoteFrom(ctx context.Context, reason string) (stele.Promotion, error) {
	return invoke[stele.Promotion](ctx, c, "PromoteFrom", reason)
}

// Hydration returns how far the folder of a server that serves from a backup is filled; nil for another server.
func (c *Client) Hydration(ctx context.Context) (*stele.Hydration, error) {
	return invoke[*stele.Hydration](ctx, c, "Hydration", nil)
}

func (c *Client) AddTarget(ctx context.Context, _ stele.Actor, spec stele.TargetSpec) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "AddTarget", spec)
}

// AddTargetAnew runs on the server, which takes it on its socket only.
func (c *Client) AddTargetAnew(ctx context.Context, _ stele.Actor, spec stele.TargetSpec, kit []byte) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "AddTargetAnew", anewArgs{spec, kit})
}

func (c *Client) RemoveTarget(ctx context.Context, _ stele.Actor, name string, kit []byte) (time.Time, error) {
	return invoke[time.Time](ctx, c, "RemoveTarget", removeArgs{name, kit})
}

func (c *Client) CancelRemoval(ctx context.Context, _ stele.Actor, name string) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "CancelRemoval", name)
}

func (c *Client) Targets(ctx context.Context) ([]stele.TargetStatus, error) {
	return invoke[[]stele.TargetStatus](ctx, c, "Targets", nil)
}

func (c *Client) FlushTargets(ctx context.Context) error {
	_, err := invoke[struct{}](ctx, c, "FlushTargets", nil)
	return err
}

func (c *Client) ConfirmKit(ctx context.Context, _ stele.Actor, text []byte) error {
	_, err := invoke[struct{}](ctx, c, "ConfirmKit", text)
	return err
}

// KitConfirmed asks the server, for at most ten seconds.
func (c *Client) KitConfirmed() (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return invoke[time.Time](ctx, c, "KitConfirmed", nil)
}

// Verify runs on the server; its progress and what it finds are streamed.
func (c *Client) Verify(ctx context.Context, opt stele.VerifyOptions) (report fsck.Report, err error) {
	err = lines(ctx, c, "Verify", verifyArgs{opt.Deep, opt.Heal}, func(l verifyLine) error {
		if l.Total > 0 && opt.Progress != nil {
			opt.Progress(l.Done, l.Total)
		}
		if l.Problem != nil && opt.Problem != nil {
			opt.Problem(*l.Problem)
		}
		if l.Report != nil {
			report = l.Report.Report
			hex.Decode(report.Root[:], []byte(l.Report.Root))
		}
		return nil
	})
	return report, err
}

// Scrubbed says how far the server's rolling scrub is.
func (c *Client) Scrubbed(ctx context.Context) (stele.ScrubStatus, error) {
	return invoke[stele.ScrubStatus](ctx, c, "Scrubbed", nil)
}

// HideBursts returns the bursts of hides that nobody has seen yet.
func (c *Client) HideBursts(ctx context.Context) ([]stele.HideBurst, error) {
	return invoke[[]stele.HideBurst](ctx, c, "HideBursts", nil)
}

func (c *Client) SeeHides(ctx context.Context, _ stele.Actor) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "SeeHides", nil)
}

func (c *Client) Stats(ctx context.Context) (stele.Stats, error) {
	return invoke[stele.Stats](ctx, c, "Stats", nil)
}

// Ready returns why the server takes no writes, or nil.
func (c *Client) Ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/healthz/ready", nil)
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
