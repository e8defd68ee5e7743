package s3api

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"stele"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// getObjectAttributes is GetObjectAttributes.
func (c *call) getObjectAttributes() error {
	read := "s3:GetObject" // AWS asks for both: who may not read an object is not told its checksum either
	if c.q.VersionID != "" {
		read = "s3:GetObjectVersion"
	}
	if err := c.require(&c.b, c.name, c.at, read, c.q.Key); err != nil {
		return err
	}
	want, err := attributesAsked(c.r.Header)
	if err != nil {
		return err
	}
	marker, limit, err := attributeArgs(c.r.Header)
	if err != nil {
		return err
	}
	v, err := c.head()
	if err != nil {
		return err
	}
	if cond := ParseConditions(c.r.Header); !cond.None() {
		if err := cond.Check(v.ETag, v.Time); err != nil {
			return err
		}
	}
	var a Attributes
	if want["ETag"] {
		a.ETag = v.ETag
	}
	if v.Checksum != nil && (want["Checksum"] || want["ObjectParts"]) {
		a.Algorithm = algorithmOf(v.Checksum)
	}
	if want["Checksum"] && v.Checksum != nil {
		a.Checksum, a.ChecksumType = v.Checksum.Value, v.Checksum.Kind
		a.Checksum, _, _ = strings.Cut(a.Checksum, "-") // here, unlike in headers, S3 leaves the number of parts out
	}
	if want["ObjectParts"] && v.Parts > 0 {
		if a.Parts, err = c.attributeParts(&v, marker, limit); err != nil {
			return err
		}
	}
	if want["StorageClass"] {
		a.StorageClass = orStandard(v.Headers[classHeader])
	}
	a.ObjectSize, a.WithObjectSize = v.Size, want["ObjectSize"]
	h := c.w.Header()
	h["Last-Modified"] = []string{httpTime(v.Time)}
	c.setVersion(h, &v)
	return c.replyDocument(a.AppendXML)
}

var attributeNames = wire.Words("ETag Checksum ObjectParts StorageClass ObjectSize")

// attributesAsked reads x-amz-object-attributes.
func attributesAsked(h http.Header) (map[string]bool, error) {
	want := map[string]bool{}
	for _, line := range h["X-Amz-Object-Attributes"] {
		for _, n := range strings.Split(line, ",") {
			n = strings.TrimSpace(n)
			if n == "" {
				continue
			}
			if !attributeNames[n] {
				return nil, s3err.InvalidArgument("x-amz-object-attributes", n, "Invalid attribute name specified.")
			}
			want[n] = true
		}
	}
	if len(want) == 0 {
		return nil, s3err.ErrObjectAttributes
	}
	return want, nil
}

// attributeArgs reads x-amz-part-number-marker and x-amz-max-parts.
func attributeArgs(h http.Header) (marker, limit int, err error) {
	limit = 1000
	if v := wire.First(h, "X-Amz-Max-Parts"); v != "" {
		if limit, err = parseCount("max-parts", v); err != nil {
			return 0, 0, err
		}
		limit = min(limit, 1000)
	}
	if v := wire.First(h, "X-Amz-Part-Number-Marker"); v != "" {
		marker, err = parseCount("part-number-marker", v)
	}
	return marker, limit, err
}

// attributeParts lists parts with numbers above marker.
func (c *call) attributeParts(v *stele.Version, marker, limit int) (*AttributeParts, error) {
	list, err := c.store.Multipart().PartsOf(c.ctx, *v)
	if err != nil {
		return nil, err
	}
	p := &AttributeParts{Total: len(list), Marker: marker, MaxParts: limit, Listed: v.Checksum != nil && v.Checksum.Kind == Composite}
	if !p.Listed {
		return p, nil // S3 lists parts only where each has a checksum of its own
	}
	for _, part := range list {
		if part.Number <= marker {
			continue
		}
		if len(p.Parts) == limit {
			p.IsTruncated = true
			break
		}
		p.Parts = append(p.Parts, PartItem{PartNumber: part.Number, Size: part.Body.Size, Checksum: part.Checksum})
		p.NextMarker = part.Number
	}
	return p, nil
}

// Veeam asks for these objects in order to learn what a server can do (SOSAPI, "Smart Object Storage API"). They are answered and never stored.
const (
	sosapiFolder   = ".system-d26a9498-cb7c-4a87-a44a-8ae204f5ba6c/"
	sosapiSystem   = sosapiFolder + "system.xml"
	sosapiCapacity = sosapiFolder + "capacity.xml"
)

// sosapi tells whether the request reads one of them.
func (c *call) sosapi() bool {
	if c.q.Op != OpGetObject && c.q.Op != OpHeadObject || !strings.HasPrefix(c.q.Key, sosapiFolder) {
		return false
	}
	return c.q.Key == sosapiSystem || c.q.Key == sosapiCapacity && c.opt.Capacity != nil
}

// checkSOSAPI refuses to write what would never be read: these documents are answered in its place.
func checkSOSAPI(key string) error {
	if key != sosapiSystem && key != sosapiCapacity {
		return nil
	}
	return s3err.ErrAccessDenied.Msg("%s is what the server tells Veeam about itself and cannot be written. Read it to see what it says.", key)
}

func (c *call) serveSOSAPI() error {
	w := s3xml.Writer{B: append([]byte(nil), s3xml.Header...)}
	if c.q.Key == sosapiSystem {
		w.Open("SystemInfo")
		w.Str("ProtocolVersion", `"1.0"`)
		w.Str("ModelName", `"Stele"`)
		w.Open("ProtocolCapabilities")
		w.Bool("CapacityInfo", c.opt.Capacity != nil)
		w.Bool("UploadSessions", false)
		w.Bool("IAMSTS", false)
		w.Close("ProtocolCapabilities")
		w.Open("SystemRecommendations")
		w.Int("S3ConcurrentTaskLimit", 64)
		w.Int("S3MultiObjectDeleteLimit", 1000)
		w.Int("StorageCurrentTaskLimit", 0)
		w.Int("KbBlockSize", 4096)
		w.Close("SystemRecommendations")
		w.Close("SystemInfo")
	} else {
		total, free := c.opt.Capacity()
		w.Open("CapacityInfo")
		w.Int("Capacity", total)
		w.Int("Available", free)
		w.Int("Used", max(total-free, 0)) // hidden bytes are used: they stay until their keep period is over
		w.Close("CapacityInfo")
	}
	h := c.w.Header()
	h["Content-Type"] = isXML
	h["Content-Length"] = []string{strconv.Itoa(len(w.B))}
	h["ETag"] = quoted(md5Hex(w.B))
	h["Last-Modified"] = []string{httpTime(c.now())}
	if c.r.Method == http.MethodHead {
		c.begin(http.StatusOK)
		return nil
	}
	return c.replyXML(http.StatusOK, w.B)
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}
