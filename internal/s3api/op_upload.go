package s3api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// createMultipartUpload opens an upload.
func (c *call) createMultipartUpload() error {
	attr, err := c.requestAttributes()
	if err != nil {
		return err
	}
	sum, err := uploadChecksum(c.r.Header)
	if err != nil {
		return err
	}
	u, err := c.store.Multipart().Create(c.ctx, c.by, stele.Upload{Bucket: c.name, Key: c.q.Key, Headers: askedOfUpload(attr.headers, c.r.Header), Meta: attr.meta, Tags: attr.tags, Lock: attr.lock, Checksum: sum})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["X-Amz-Server-Side-Encryption"] = isAES256
	if sum != nil {
		h["X-Amz-Checksum-Algorithm"] = []string{sum.Algorithm}
		h["X-Amz-Checksum-Type"] = []string{sum.Kind}
	}
	c.setAbort(h, &u)
	if err := c.setCommitted(h, u.Entry); err != nil {
		return err
	}
	return c.replyDocument(func(b []byte) []byte { return AppendInitiateUpload(b, c.q.Bucket, c.q.Key, u.ID) })
}

// askedOfUpload adds to what an object keeps what only its upload keeps: policies judge each part by it.
func askedOfUpload(kept map[string]string, h http.Header) map[string]string {
	for _, name := range append(stele.UploadOnlyHeaders[:], classHeader) {
		if v := wire.First(h, http.CanonicalHeaderKey(name)); v != "" {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[name] = v
		}
	}
	return kept
}

// uploadChecksum reads x-amz-checksum-algorithm and -type of CreateMultipartUpload; nil: none was asked for.
func uploadChecksum(h http.Header) (*entry.Checksum, error) {
	alg, typ := wire.First(h, "X-Amz-Checksum-Algorithm"), wire.First(h, "X-Amz-Checksum-Type")
	if u := strings.ToUpper(typ); typ != "" && u != FullObject && u != Composite {
		return nil, s3err.ErrInvalidRequest.Msg("Value for x-amz-checksum-type header is invalid.")
	}
	if alg == "" {
		if typ != "" {
			return nil, s3err.ErrChecksumTypeAlone
		}
		return nil, nil
	}
	a, err := ParseAlgorithm(alg)
	if err != nil {
		return nil, err
	}
	if typ == "" {
		typ = a.DefaultType()
	} else if typ, err = a.CheckType(typ); err != nil {
		return nil, err
	}
	return &entry.Checksum{Algorithm: a.String(), Kind: typ}, nil
}

// algorithmOf is the algorithm of a kept checksum; NoChecksum for nil.
func algorithmOf(sum *entry.Checksum) Algorithm {
	if sum == nil {
		return NoChecksum
	}
	a, err := ParseAlgorithm(sum.Algorithm)
	if err != nil {
		return NoChecksum
	}
	return a
}

// partNumber reads ?partNumber= of an upload.
func (c *call) partNumber() (int, error) {
	v := c.q.Query.Get("partNumber")
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > stele.MaxParts {
		return 0, s3err.InvalidArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	return n, nil
}

// checksumMismatch: a part's checksum is of another algorithm than its upload's.
func checksumMismatch(want, got Algorithm) error {
	name := func(a Algorithm) string {
		if a == NoChecksum {
			return "null"
		}
		return a.String()
	}
	return s3err.ErrInvalidRequest.Msg("Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", name(want), name(got))
}

// partOf reads which part of which upload is to be written.
func (c *call) partOf() (number int, u stele.Upload, err error) {
	if number, err = c.partNumber(); err != nil {
		return 0, u, err
	}
	if err := checkSpecials(c.r.Header); err != nil {
		return 0, u, err
	}
	if u, err = c.store.Multipart().Get(c.ctx, c.name, c.q.Key, c.q.Query.Get("uploadId")); err != nil {
		return 0, u, err
	}
	return number, u, c.learnUpload(&u)
}

// uploadPart writes one part.
func (c *call) uploadPart() error {
	number, u, err := c.partOf()
	if err != nil {
		return err
	}
	alg := algorithmOf(u.Checksum)
	in, err := c.openBody(orAlgorithm(alg, CRC64NVME))
	if err != nil {
		return err
	}
	defer in.close()
	if alg == NoChecksum { // the object will have a CRC64NVME, whatever each part was sent with
		in.keepAnother(CRC64NVME)
	}
	if declared := in.want.Algorithm; alg != NoChecksum && declared != alg && (declared != NoChecksum || u.Checksum.Kind == Composite) {
		return checksumMismatch(alg, declared)
	}
	p, err := c.store.Multipart().PutPart(c.ctx, stele.PartRequest{By: c.by, Bucket: c.name, Key: c.q.Key, Upload: u.ID, Number: number, Body: in.r, Size: in.size, Tee: in.tee, Finish: in.finish})
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["ETag"] = quoted(p.ETag)
	h["X-Amz-Server-Side-Encryption"] = isAES256
	switch declared := in.want.Algorithm; {
	case declared != NoChecksum:
		h[declared.canonicalHeader()] = []string{declared.Encode(in.declared)}
	case alg != NoChecksum:
		h[alg.canonicalHeader()] = []string{p.Checksum.Value}
	}
	return c.reply(http.StatusOK)
}

func orAlgorithm(a, other Algorithm) Algorithm {
	if a == NoChecksum {
		return other
	}
	return a
}

// uploadPartCopy writes one part from an object's bytes. They are read and chunked again; the chunks are those that are there already, so little is stored.
func (c *call) uploadPartCopy() error {
	number, u, err := c.partOf()
	if err != nil {
		return err
	}
	src, err := c.copySource()
	if err != nil {
		return err
	}
	span, ok, err := ParseCopySourceRange(wire.First(c.r.Header, "X-Amz-Copy-Source-Range"), src.v.Size)
	if err != nil {
		return err
	}
	if !ok {
		span = ByteRange{0, src.v.Size}
	}
	if span.Length > maxPutBytes {
		return s3err.ErrCopySourceTooLarge
	}
	if span.Length > bigBodyBytes {
		if err := c.takePlace(c.bodies); err != nil {
			return err
		}
	}
	body, err := c.store.OpenBody(c.ctx, src.v, span.Start, span.Length)
	if err != nil {
		return err
	}
	defer body.Close()
	in := &incoming{r: body, size: span.Length, sum: orAlgorithm(algorithmOf(u.Checksum), CRC64NVME)}
	in.compute()
	p, err := c.store.Multipart().PutPart(c.ctx, stele.PartRequest{By: c.by, Bucket: c.name, Key: c.q.Key, Upload: u.ID, Number: number, Body: in.r, Size: in.size, Tee: in.tee, Finish: in.finish})
	if err != nil {
		return err
	}
	h := c.w.Header()
	src.setVersion(h)
	h["X-Amz-Server-Side-Encryption"] = isAES256
	res := Copied{ETag: p.ETag, LastModified: p.Time}
	if u.Checksum != nil {
		res.Algorithm, res.Checksum = algorithmOf(p.Checksum), p.Checksum.Value
	}
	return c.replyDocument(func(b []byte) []byte { return res.AppendXML(b, true) })
}

// completeMultipartUpload makes the object.
func (c *call) completeMultipartUpload() error {
	h := c.r.Header
	cond, err := writeConditions(h)
	if err != nil {
		return err
	}
	u, err := c.store.Multipart().Get(c.ctx, c.name, c.q.Key, c.q.Query.Get("uploadId"))
	if err == nil {
		err = c.learnUpload(&u)
	}
	if err != nil && !errors.Is(err, stele.ErrNoUpload) { // one that was completed already is answered again and changes nothing
		return err
	}
	doc, err := c.readComplete()
	if err != nil {
		return err
	}
	declared, err := objectChecksum(h)
	if err != nil {
		return err
	}
	named, err := DecodeComplete(doc)
	if err != nil {
		return err
	}
	q := stele.CompleteRequest{By: c.by, Bucket: c.name, Key: c.q.Key, Upload: c.q.Query.Get("uploadId"), If: cond}
	if v := wire.First(h, "X-Amz-Mp-Object-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return s3err.ErrInvalidRequest.Msg("Value for x-amz-mp-object-size header is invalid: '%s'", v)
		}
		if n < 0 {
			return s3err.ErrInvalidRequest.Msg("Value for x-amz-mp-object-size header is less than zero: '%d'", n)
		}
		q.Size = &n
	}
	for _, p := range named {
		q.Parts = append(q.Parts, stele.Part{Number: p.PartNumber, ETag: p.ETag})
	}
	q.Finish = func(u stele.Upload, parts []stele.Part) (*entry.Checksum, error) {
		return finishUpload(h, u, named, parts, declared, q.Size)
	}
	v, err := c.store.Multipart().Complete(c.ctx, q)
	if err != nil {
		return err
	}
	rh := c.w.Header()
	c.setNewVersion(rh, &v)
	c.setExpiration(rh, &v)
	rh["X-Amz-Server-Side-Encryption"] = isAES256
	if err := c.setCommitted(rh, v.Entry); err != nil {
		return err
	}
	res := Completed{Location: c.location(), Bucket: c.q.Bucket, Key: c.q.Key, ETag: v.ETag}
	if v.Checksum != nil {
		res.Algorithm, res.Checksum, res.ChecksumType = algorithmOf(v.Checksum), v.Checksum.Value, v.Checksum.Kind
	}
	return c.replyDocument(res.AppendXML)
}

// location is the object's URL.
func (c *call) location() string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	path := string(wire.AppendEscaped(nil, "/"+c.q.Key, true))
	if !c.q.VirtualHost {
		path = "/" + c.q.Bucket + path
	}
	return scheme + c.r.Host + path
}

// readComplete reads the list of parts. A checksum among the headers is the object's and not that of this body.
func (c *call) readComplete() ([]byte, error) {
	h := http.Header{}
	for name, v := range c.r.Header {
		if !strings.HasPrefix(name, "X-Amz-Checksum-") && name != "X-Amz-Sdk-Checksum-Algorithm" {
			h[name] = v
		}
	}
	want, err := ParseDeclared(h, c.auth)
	if err != nil {
		return nil, err
	}
	return c.readDeclared(MaxCompleteBytes, want)
}

// objectSum is the checksum that a client declares for a whole multipart object.
type objectSum struct {
	alg   Algorithm
	value string // base64, with "-N" where it is composite
}

// objectChecksum reads it from the headers of CompleteMultipartUpload.
func objectChecksum(h http.Header) (o objectSum, err error) {
	for _, alg := range Algorithms {
		v := wire.First(h, alg.canonicalHeader())
		if v == "" {
			continue
		}
		if o.alg != NoChecksum {
			return o, s3err.ErrMultipleChecksums
		}
		sum, count, composite := strings.Cut(v, "-")
		if _, ok := alg.Decode(sum); !ok || composite && strings.Trim(count, "0123456789") != "" {
			return o, s3err.ErrInvalidRequest.Msg("Value for %s header is invalid.", alg.Header())
		}
		o = objectSum{alg, v}
	}
	if o.alg == NoChecksum {
		return o, checkUnknownChecksum(h)
	}
	return o, nil
}

// finishUpload holds a completion to what the client declared, and returns the object's checksum.
func finishUpload(h http.Header, u stele.Upload, named []CompletedPart, parts []stele.Part, declared objectSum, size *int64) (*entry.Checksum, error) {
	if size != nil {
		var total int64
		for _, p := range parts {
			total += p.Size
		}
		if total != *size {
			return nil, s3err.ErrInvalidRequest.Msg("The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", total, *size)
		}
	}
	alg, kind := algorithmOf(u.Checksum), ""
	if u.Checksum != nil {
		kind = u.Checksum.Kind
	}
	if t := wire.First(h, "X-Amz-Checksum-Type"); t != "" {
		if t = strings.ToUpper(t); t != FullObject && t != Composite {
			return nil, s3err.ErrInvalidRequest.Msg("Value for x-amz-checksum-type header is invalid.")
		}
		if alg != NoChecksum && t != kind {
			return nil, s3err.ErrInvalidRequest.Msg("The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", kind)
		}
	}
	if err := checkNamed(alg, kind, named, parts); err != nil {
		return nil, err
	}
	sum := sumOfParts(alg, kind, parts)
	if declared.alg == NoChecksum || alg == NoChecksum || sum == nil {
		return sum, nil // as AWS does, a checksum of an upload that was opened without one is not looked at
	}
	bare, _, _ := strings.Cut(sum.Value, "-")
	if declared.alg != alg || declared.value != sum.Value && !(kind == Composite && declared.value == bare) {
		return nil, s3err.ErrBadDigest.Msg("The %s you specified did not match the calculated checksum.", declared.alg)
	}
	return sum, nil
}

// checkNamed compares the checksums that the client names for the parts.
func checkNamed(alg Algorithm, kind string, named []CompletedPart, parts []stele.Part) error {
	for i, n := range named {
		switch {
		case alg == NoChecksum:
		case n.Algorithm == NoChecksum && kind == Composite:
			return s3err.ErrInvalidRequest.Msg("The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
				strings.ToLower(alg.String()), n.PartNumber)
		case n.Algorithm == NoChecksum:
		case n.Algorithm != alg:
			return s3err.ErrBadDigest.Msg("The %s you specified for part %d did not match what we received.", strings.ToLower(n.Algorithm.String()), n.PartNumber)
		case parts[i].Checksum == nil || n.Checksum != parts[i].Checksum.Value:
			return s3err.ErrInvalidPart.With("PartNumber", strconv.Itoa(n.PartNumber)).With("ETag", n.ETag)
		}
	}
	return nil
}

// sumOfParts combines the parts' checksums: of the algorithm asked for, else of the one that all parts have; nil if they differ.
func sumOfParts(alg Algorithm, kind string, parts []stele.Part) *entry.Checksum {
	if alg == NoChecksum {
		alg = algorithmOf(parts[0].Checksum)
		kind = FullObject
		if alg == SHA1 || alg == SHA256 {
			kind = Composite
		}
	}
	sums := make([]PartSum, len(parts))
	for i, p := range parts {
		if p.Checksum == nil || algorithmOf(p.Checksum) != alg || alg == NoChecksum {
			return nil
		}
		raw, ok := alg.Decode(p.Checksum.Value)
		if !ok {
			return nil
		}
		sums[i] = PartSum{Sum: raw, Size: p.Size}
	}
	out := &entry.Checksum{Algorithm: alg.String(), Kind: kind}
	if kind == Composite {
		out.Value = alg.Encode(alg.CompositeSum(sums)) + "-" + strconv.Itoa(len(parts))
	} else {
		out.Value = alg.Encode(alg.Combine(sums))
	}
	return out
}

// abortMultipartUpload ends an upload; its parts are hidden.
func (c *call) abortMultipartUpload() error {
	id := c.q.Query.Get("uploadId")
	if v := wire.First(c.r.Header, "X-Amz-If-Match-Initiated-Time"); v != "" {
		at, err := http.ParseTime(v)
		if err != nil {
			return s3err.InvalidArgument("x-amz-if-match-initiated-time", v, "Invalid value for x-amz-if-match-initiated-time header")
		}
		u, err := c.store.Multipart().Get(c.ctx, c.name, c.q.Key, id)
		if err != nil {
			return err
		}
		if !u.Started.Truncate(time.Second).Equal(at) && !at.After(c.now()) { // AWS ignores dates to come
			return s3err.PreconditionFailed("x-amz-if-match-initiated-time")
		}
	}
	if _, err := c.store.Multipart().Abort(c.ctx, c.by, c.name, c.q.Key, id); err != nil {
		return err
	}
	return c.reply(http.StatusNoContent)
}

// listParts lists the parts of an open upload.
func (c *call) listParts() error {
	after, limit, err := ParsePartArgs(&c.q)
	if err != nil {
		return err
	}
	id := c.q.Query.Get("uploadId")
	if !c.at.Now() {
		return s3err.NoSuchUpload(id) // a view shows objects; uploads are of the present
	}
	parts, u, more, err := c.store.Multipart().Parts(c.ctx, c.name, c.q.Key, id, after, limit)
	if err != nil {
		return err
	}
	c.setAbort(c.w.Header(), &u)
	owner := ownerOf(&c.b)
	res := ListPartsResult{Bucket: c.q.Bucket, Key: c.q.Key, UploadID: id, PartNumberMarker: after, MaxParts: limit, IsTruncated: more && limit > 0, Owner: &owner, StorageClass: u.Headers[classHeader], Parts: make([]PartItem, len(parts))}
	if u.Checksum != nil {
		res.Algorithm, res.ChecksumType = algorithmOf(u.Checksum), u.Checksum.Kind
	}
	for i, p := range parts {
		res.Parts[i] = PartItem{PartNumber: p.Number, LastModified: p.Time, ETag: p.ETag, Size: p.Size}
		if p.Checksum != nil && res.Algorithm != NoChecksum {
			res.Parts[i].Checksum = p.Checksum.Value
		}
		res.NextPartNumberMarker = p.Number
	}
	return c.replyDocument(res.AppendXML)
}

// listMultipartUploads lists open uploads.
func (c *call) listMultipartUploads() error {
	a, err := ParseListArgs(&c.q)
	if err != nil {
		return err
	}
	var page stele.UploadPage
	if c.at.Now() { // in a view there are none: it shows objects
		page, err = c.store.Multipart().List(c.ctx, stele.ListRequest{Bucket: c.name, Prefix: a.Prefix, Delimiter: a.Delimiter, After: a.Marker, AfterID: a.SecondMarker, Max: a.MaxKeys})
	}
	if err != nil {
		return err
	}
	owner := ownerOf(&c.b)
	res := ListUploadsResult{Bucket: c.q.Bucket, Prefix: a.Prefix, Delimiter: a.Delimiter, KeyMarker: a.Marker, UploadIDMarker: a.SecondMarker, NextKeyMarker: page.Next, NextUploadIDMarker: page.NextID,
		MaxUploads: a.MaxKeys, IsTruncated: page.Truncated, URLEncoding: a.URLEncoding, CommonPrefixes: page.Prefixes, Uploads: make([]UploadItem, len(page.Uploads))}
	for i := range page.Uploads {
		u := &page.Uploads[i]
		res.Uploads[i] = UploadItem{Key: u.Key, UploadID: u.ID, Initiated: u.Started, Owner: &owner, StorageClass: u.Headers[classHeader]}
		if u.Checksum != nil {
			res.Uploads[i].Algorithm, res.Uploads[i].ChecksumType = algorithmOf(u.Checksum), u.Checksum.Kind
		}
	}
	return c.replyDocument(res.AppendXML)
}
