package auth

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

const (
	maxPostFields     = 100
	maxPostFieldBytes = 20 << 10 // all fields before the file, as AWS limits them
	maxPostHeadBytes  = 96 << 10 // all that comes before the file's bytes: the fields, and what frames them
)

// PostForm is a browser's upload (S3 API Reference, "POST Object"): fields, then one file, then whatever is ignored.
type PostForm struct {
	Fields   map[string]string // by name in lower case
	Key      string            // with ${filename} filled in
	FileName string
	File     io.Reader // the object's bytes, streaming
}

// ReadPostForm reads the fields of a form up to its file.
func ReadPostForm(r *http.Request) (*PostForm, error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return nil, s3err.ErrMalformedPOST
	}
	f := &PostForm{Fields: map[string]string{}}
	head := &formHead{src: r.Body, left: maxPostHeadBytes}
	mr := multipart.NewReader(head, params["boundary"])
	for total := 0; ; {
		p, err := mr.NextPart()
		if err == io.EOF {
			return nil, s3err.InvalidArgument("file", "", "POST requires exactly one file upload per request.")
		}
		if err != nil {
			return nil, postError(err)
		}
		name := strings.ToLower(p.FormName())
		if name == "file" {
			head.over = true
			f.FileName, f.File = fileName(p.FileName()), postFile{p}
			return f, f.complete()
		}
		value, err := io.ReadAll(io.LimitReader(p, int64(maxPostFieldBytes-total)+1))
		if err != nil {
			return nil, postError(err)
		}
		if total += len(value) + len(name); total > maxPostFieldBytes || len(f.Fields) == maxPostFields {
			return nil, errFieldsTooLarge
		}
		if _, twice := f.Fields[name]; twice {
			return nil, s3err.InvalidArgument(name, string(value), "POST requires exactly one field named %s.", name)
		}
		f.Fields[name] = string(value)
	}
}

var errFieldsTooLarge = s3err.ErrMalformedPOST.Msg("Your POST request fields preceding the upload file were too large.")

// formHead bounds what is read of a form before its file. The parser of package mime takes ten megabytes of headers for each part and keeps them, and nobody has signed anything yet.
type formHead struct {
	src  io.Reader
	left int64
	over bool // the file has begun
}

func (h *formHead) Read(p []byte) (int, error) {
	if h.over {
		return h.src.Read(p)
	}
	if h.left == 0 {
		return 0, errFieldsTooLarge
	}
	n, err := h.src.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}

// postError says what a failed read of the form means: the client's timeouts are theirs, bad framing is a malformed form.
func postError(err error) error {
	if e := wire.FromError(err); e.Code != s3err.ErrInternalError.Code && e.Code != s3err.ErrIncompleteBody.Code {
		return e
	}
	return s3err.ErrMalformedPOST
}

// postFile reads the file's part; a form that ends in it is an incomplete body.
type postFile struct{ p *multipart.Part }

func (f postFile) Read(b []byte) (int, error) {
	n, err := f.p.Read(b)
	if err != nil && err != io.EOF {
		err = bodyError(err)
	}
	return n, err
}

// fileName is what follows the last slash or backslash: some clients send the whole path that the file has on their side.
func fileName(path string) string {
	return path[strings.LastIndexAny(path, `/\`)+1:]
}

// complete puts the file's name in the place of ${filename}, which every field may hold. S3 does so before it checks the policy, whose conditions are about
// what the fields then say ("Creating a POST policy").
func (f *PostForm) complete() error {
	for name, v := range f.Fields {
		if name != "policy" && strings.Contains(v, "${filename}") {
			as := f.FileName
			if name == "tagging" { // XML, in which a name may hold what is markup
				as = string(s3xml.AppendText(nil, as))
			}
			f.Fields[name] = strings.ReplaceAll(v, "${filename}", as)
		}
	}
	if f.Key = f.Fields["key"]; f.Key == "" {
		return missingPostField("key")
	}
	switch {
	case len(f.Key) > wire.MaxKeyBytes:
		return wire.KeyTooLong(len(f.Key))
	case strings.ToValidUTF8(f.Key, "") != f.Key:
		return s3err.ErrInvalidURI
	}
	return nil
}

func missingPostField(name string) error {
	return s3err.InvalidArgument(name, "", "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", name)
}

// Header gives the fields as the headers of a PUT, so that whatever reads those reads these. A field whose name no header can have is refused, since it
// could never be given back.
func (f *PostForm) Header() (http.Header, error) {
	h := http.Header{}
	for name, v := range f.Fields {
		switch {
		case strings.HasPrefix(name, "x-amz-") && !wire.HeaderName(name):
			return nil, s3err.InvalidArgument(name, v, "The name of the field %q has characters that a header's name cannot have. Use letters, digits and hyphens.", name)
		case name == "x-amz-signature" || name == "x-amz-credential" || name == "x-amz-algorithm" || name == "x-amz-date":
		case strings.HasPrefix(name, "x-amz-"), name == "content-type", name == "cache-control", name == "content-disposition",
			name == "content-encoding", name == "content-language", name == "expires", name == "content-md5":
			h[textproto.CanonicalMIMEHeaderKey(name)] = []string{v}
		case name == "acl":
			h["X-Amz-Acl"] = []string{v}
		}
	}
	return h, nil
}

// postAuthFields are signed forms' fields; a form has all of them or is anonymous.
var postAuthFields = [...]string{"policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm"}

// VerifyPost checks the signature of a form and its policy document, and returns the bounds that the policy sets for the
// file, which f.File then enforces. A form without any field of authentication is Anonymous.
func (v *Verifier) VerifyPost(ctx context.Context, f *PostForm, bucket string) (*Identity, error) {
	present := 0
	for _, n := range postAuthFields {
		if _, ok := f.Fields[n]; ok {
			present++
		}
	}
	if present == 0 {
		return &Identity{Payload: PayloadUnsigned, Covered: unsignedPayload}, nil
	}
	for _, n := range postAuthFields {
		if _, ok := f.Fields[n]; !ok {
			return nil, missingPostField(n)
		}
	}
	a, c, err := v.postCredential(f)
	if err != nil {
		return nil, err
	}
	if err := v.checkPost(ctx, f, a, c); err != nil {
		return nil, err
	}
	policy, err := parsePostPolicy(f.Fields["policy"])
	if err != nil {
		return nil, err
	}
	if now := v.now(); now.After(policy.expiration) || now.Sub(a.SignedAt) > maxExpires*time.Second {
		return nil, policyFailed("Policy expired.")
	}
	if err := policy.check(f, bucket); err != nil {
		return nil, err
	}
	if policy.bounded {
		f.Bound(policy.least, policy.most)
	}
	return a, nil
}

// postCredential reads what the form says about its signature.
func (v *Verifier) postCredential(f *PostForm) (*Identity, *credential, error) {
	if a := f.Fields["x-amz-algorithm"]; a != AlgorithmV4 {
		return nil, nil, s3err.InvalidArgument("X-Amz-Algorithm", a, "Only AWS4-HMAC-SHA256 is supported")
	}
	at, err := time.Parse(isoTime, f.Fields["x-amz-date"])
	if err != nil {
		return nil, nil, s3err.InvalidArgument("X-Amz-Date", f.Fields["x-amz-date"], "X-Amz-Date must be formated via ISO8601 Long format")
	}
	c, err := parseCredential(f.Fields["x-amz-credential"], formErrors)
	if err != nil {
		return nil, nil, err
	}
	if err := c.checkScope(v.service, v.region, formErrors); err != nil {
		return nil, nil, err
	}
	if f.Fields["x-amz-date"][:8] != c.date {
		return nil, nil, s3err.InvalidArgument("X-Amz-Date", f.Fields["x-amz-date"], "Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", c.date, f.Fields["x-amz-date"][:8])
	}
	if at.Sub(v.now()) > maxSkew {
		return nil, nil, s3err.ErrRequestNotYetValid
	}
	c.signature = f.Fields["x-amz-signature"]
	return &Identity{Kind: ByPostForm, AccessKeyID: c.accessKeyID, SignedAt: at, Payload: PayloadUnsigned, Covered: unsignedPayload}, c, nil
}

// checkPost compares the signature, which is over the encoded policy itself.
func (v *Verifier) checkPost(ctx context.Context, f *PostForm, a *Identity, c *credential) error {
	key, err := v.signingKey(ctx, c)
	if err != nil {
		return err
	}
	a.key, a.scope = key, c.scope
	if !key.signs([]byte(f.Fields["policy"]), c.signature) {
		return mismatch(c, []byte(f.Fields["policy"]), nil)
	}
	return nil
}

// Bound has File end in an error if it is shorter or longer than this, in bytes: EntityTooSmall, EntityTooLarge.
func (f *PostForm) Bound(least, most int64) {
	f.File = &boundedFile{src: f.File, least: least, most: most}
}

// boundedFile enforces content-length-range.
type boundedFile struct {
	src         io.Reader
	least, most int64
	n           int64
}

func (b *boundedFile) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.n += int64(n)
	if b.n > b.most {
		// What follows is only counted, to a bound, in order to say by how much it is too long.
		rest, _ := io.CopyN(io.Discard, b.src, 1<<20)
		return 0, s3err.EntityTooLarge(b.n+rest, b.most)
	}
	if err == io.EOF && b.n < b.least {
		return n, s3err.TooSmall(b.n, b.least)
	}
	return n, err
}
