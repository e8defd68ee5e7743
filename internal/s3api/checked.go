package s3api

import (
	"crypto/md5"
	"crypto/sha256"
	"hash"
	"io"
)

// Checked reads a body and compares every declared digest when it ends: at the end Read returns io.EOF only if all hold,
// else the *s3err.Error. Whoever stores what it reads must not commit without that io.EOF.
type Checked struct {
	src     io.Reader
	want    Declared
	trailer func(name string) string

	md5, sha256, sum hash.Hash
	err              error
}

// NewChecked wraps src. trailer gives the value of a trailer after the end of src; it is needed only where want.Trailer is set.
func NewChecked(src io.Reader, want Declared, trailer func(name string) string) *Checked {
	c := &Checked{src: src, want: want, trailer: trailer}
	if want.MD5 != nil {
		c.md5 = md5.New()
	}
	if want.SHA256 != nil {
		c.sha256 = sha256.New()
	}
	if want.Algorithm != NoChecksum {
		c.sum = want.Algorithm.New()
	}
	return c
}

func (c *Checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.src.Read(p)
	for _, h := range [...]hash.Hash{c.md5, c.sha256, c.sum} {
		if h != nil && n > 0 {
			h.Write(p[:n])
		}
	}
	if err == io.EOF {
		if bad := c.compare(); bad != nil {
			err = bad
		}
	}
	c.err = err
	return n, err
}

// WriteTo writes the whole body to w.
func (c *Checked) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

func (c *Checked) compare() error {
	var got Sums
	if c.md5 != nil {
		got.MD5 = c.md5.Sum(nil)
	}
	if c.sha256 != nil {
		got.SHA256 = c.sha256.Sum(nil)
	}
	got.Checksum = c.Checksum()
	trailer := ""
	if name := c.want.TrailerName(); name != "" {
		trailer = c.trailer(name)
	}
	return c.want.Compare(got, trailer)
}

// Checksum is the sum of the declared algorithm over what was read so far; nil: none was declared.
func (c *Checked) Checksum() []byte {
	if c.sum == nil {
		return nil
	}
	return c.sum.Sum(nil)
}
