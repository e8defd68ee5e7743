package s3api

import (
	"strconv"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// Owner is who owns buckets and objects; a store has one.
type Owner struct{ ID, DisplayName string }

// Listings are the documents that cost: 1,000 keys must take microseconds each at most, so every one is appended by hand.
// URLEncoding (encoding-type=url) percent-encodes every name that the client chose.

// ObjectItem is one key of a listing.
type ObjectItem struct {
	Key          string
	LastModified time.Time
	ETag         string // without quotes
	Size         int64
	Algorithm    Algorithm
	ChecksumType string
	StorageClass string // "": STANDARD
	Owner        *Owner // nil: left out
}

// ListObjectsResult is the reply of ListObjects, version 1.
type ListObjectsResult struct {
	Name, Prefix, Marker, NextMarker, Delimiter string
	MaxKeys                                     int
	IsTruncated, URLEncoding                    bool
	Contents                                    []ObjectItem
	CommonPrefixes                              []string
}

// AppendXML appends the document.
func (l *ListObjectsResult) AppendXML(b []byte) []byte {
	w := listWriter{s3xml.Writer{B: b}, l.URLEncoding}
	w.Root("ListBucketResult")
	w.Str("Name", l.Name)
	w.key("Prefix", l.Prefix)
	w.key("Marker", l.Marker)
	if l.NextMarker != "" {
		w.key("NextMarker", l.NextMarker)
	}
	w.bounds("MaxKeys", l.MaxKeys, l.Delimiter, l.IsTruncated)
	w.contents(l.Contents)
	w.prefixes(l.CommonPrefixes)
	w.Close("ListBucketResult")
	return w.B
}

// ListObjectsV2Result is the reply of ListObjectsV2.
type ListObjectsV2Result struct {
	Name, Prefix, StartAfter, Delimiter      string
	ContinuationToken, NextContinuationToken string
	MaxKeys                                  int
	IsTruncated, URLEncoding                 bool
	HasContinuationToken                     bool // the request had one
	Contents                                 []ObjectItem
	CommonPrefixes                           []string
}

// AppendXML appends the document.
func (l *ListObjectsV2Result) AppendXML(b []byte) []byte {
	w := listWriter{s3xml.Writer{B: b}, l.URLEncoding}
	w.Root("ListBucketResult")
	w.Str("Name", l.Name)
	w.key("Prefix", l.Prefix)
	if l.HasContinuationToken {
		w.Str("ContinuationToken", l.ContinuationToken)
	}
	w.Opt("NextContinuationToken", l.NextContinuationToken)
	if l.StartAfter != "" {
		w.key("StartAfter", l.StartAfter)
	}
	w.Int("KeyCount", int64(len(l.Contents)+len(l.CommonPrefixes)))
	w.bounds("MaxKeys", l.MaxKeys, l.Delimiter, l.IsTruncated)
	w.contents(l.Contents)
	w.prefixes(l.CommonPrefixes)
	w.Close("ListBucketResult")
	return w.B
}

// VersionItem is one version or delete marker.
type VersionItem struct {
	ObjectItem
	VersionID    string // never empty: "null" where there is none
	IsLatest     bool
	DeleteMarker bool
}

// ListVersionsResult is the reply of ListObjectVersions.
type ListVersionsResult struct {
	Name, Prefix, Delimiter            string
	KeyMarker, VersionIDMarker         string
	NextKeyMarker, NextVersionIDMarker string
	MaxKeys                            int
	IsTruncated, URLEncoding           bool
	Versions                           []VersionItem // in order, markers among them
	CommonPrefixes                     []string
}

// AppendXML appends the document.
func (l *ListVersionsResult) AppendXML(b []byte) []byte {
	w := listWriter{s3xml.Writer{B: b}, l.URLEncoding}
	w.Root("ListVersionsResult")
	w.Str("Name", l.Name)
	w.key("Prefix", l.Prefix)
	w.key("KeyMarker", l.KeyMarker)
	w.Str("VersionIdMarker", l.VersionIDMarker)
	if l.NextKeyMarker != "" {
		w.key("NextKeyMarker", l.NextKeyMarker)
	}
	w.Opt("NextVersionIdMarker", l.NextVersionIDMarker)
	w.bounds("MaxKeys", l.MaxKeys, l.Delimiter, l.IsTruncated)
	for i := range l.Versions {
		v := &l.Versions[i]
		name := "Version"
		if v.DeleteMarker {
			name = "DeleteMarker"
		}
		w.Open(name)
		w.key("Key", v.Key)
		w.Str("VersionId", v.VersionID)
		w.Bool("IsLatest", v.IsLatest)
		w.Time("LastModified", v.LastModified)
		if !v.DeleteMarker {
			w.body(&v.ObjectItem)
		}
		writeOwner(&w.Writer, "Owner", v.Owner)
		w.Close(name)
	}
	w.prefixes(l.CommonPrefixes)
	w.Close("ListVersionsResult")
	return w.B
}

// UploadItem is one open multipart upload.
type UploadItem struct {
	Key, UploadID string
	Initiated     time.Time
	Algorithm     Algorithm
	ChecksumType  string
	StorageClass  string
	Owner         *Owner
}

// ListUploadsResult is the reply of ListMultipartUploads.
type ListUploadsResult struct {
	Bucket, Prefix, Delimiter         string
	KeyMarker, UploadIDMarker         string
	NextKeyMarker, NextUploadIDMarker string
	MaxUploads                        int
	IsTruncated, URLEncoding          bool
	Uploads                           []UploadItem
	CommonPrefixes                    []string
}

// AppendXML appends the document.
func (l *ListUploadsResult) AppendXML(b []byte) []byte {
	w := listWriter{s3xml.Writer{B: b}, l.URLEncoding}
	w.Root("ListMultipartUploadsResult")
	w.Str("Bucket", l.Bucket)
	w.key("KeyMarker", l.KeyMarker)
	w.Str("UploadIdMarker", l.UploadIDMarker)
	w.key("NextKeyMarker", l.NextKeyMarker)
	w.Str("NextUploadIdMarker", l.NextUploadIDMarker)
	w.key("Prefix", l.Prefix)
	w.bounds("MaxUploads", l.MaxUploads, l.Delimiter, l.IsTruncated)
	for i := range l.Uploads {
		u := &l.Uploads[i]
		w.Open("Upload")
		w.key("Key", u.Key)
		w.Str("UploadId", u.UploadID)
		writeOwner(&w.Writer, "Initiator", u.Owner)
		writeOwner(&w.Writer, "Owner", u.Owner)
		w.Str("StorageClass", orStandard(u.StorageClass))
		w.Time("Initiated", u.Initiated)
		w.Opt("ChecksumAlgorithm", u.Algorithm.String())
		w.Opt("ChecksumType", u.ChecksumType)
		w.Close("Upload")
	}
	w.prefixes(l.CommonPrefixes)
	w.Close("ListMultipartUploadsResult")
	return w.B
}

// PartItem is one part of an upload.
type PartItem struct {
	PartNumber   int
	LastModified time.Time
	ETag         string // without quotes
	Size         int64
	Checksum     string // base64
}

// ListPartsResult is the reply of ListParts.
type ListPartsResult struct {
	Bucket, Key, UploadID                  string
	PartNumberMarker, NextPartNumberMarker int
	MaxParts                               int
	IsTruncated, URLEncoding               bool
	Algorithm                              Algorithm
	ChecksumType                           string
	StorageClass                           string
	Owner                                  *Owner
	Parts                                  []PartItem
}

// AppendXML appends the document.
func (l *ListPartsResult) AppendXML(b []byte) []byte {
	w := listWriter{s3xml.Writer{B: b}, l.URLEncoding}
	w.Root("ListPartsResult")
	w.Str("Bucket", l.Bucket)
	w.key("Key", l.Key)
	w.Str("UploadId", l.UploadID)
	writeOwner(&w.Writer, "Initiator", l.Owner)
	writeOwner(&w.Writer, "Owner", l.Owner)
	w.Str("StorageClass", orStandard(l.StorageClass))
	w.Int("PartNumberMarker", int64(l.PartNumberMarker))
	w.Int("NextPartNumberMarker", int64(l.NextPartNumberMarker))
	w.bounds("MaxParts", l.MaxParts, "", l.IsTruncated)
	w.Opt("ChecksumAlgorithm", l.Algorithm.String())
	w.Opt("ChecksumType", l.ChecksumType)
	for i := range l.Parts {
		p := &l.Parts[i]
		w.Open("Part")
		w.Int("PartNumber", int64(p.PartNumber))
		w.Time("LastModified", p.LastModified)
		writeETag(&w.Writer, p.ETag)
		w.Int("Size", p.Size)
		writeChecksum(&w.Writer, l.Algorithm, p.Checksum)
		w.Close("Part")
	}
	w.Close("ListPartsResult")
	return w.B
}

// BucketItem is one bucket of ListBuckets.
type BucketItem struct {
	Name, Region string
	Created      time.Time
}

// ListBucketsResult is the reply of ListBuckets.
type ListBucketsResult struct {
	Owner                     Owner
	Buckets                   []BucketItem
	Prefix, ContinuationToken string
}

// AppendXML appends the document.
func (l *ListBucketsResult) AppendXML(b []byte) []byte {
	w := listWriter{s3xml.Writer{B: b}, false}
	w.Root("ListAllMyBucketsResult")
	writeOwner(&w.Writer, "Owner", &l.Owner)
	w.Open("Buckets")
	for _, bk := range l.Buckets {
		w.Open("Bucket")
		w.Str("Name", bk.Name)
		w.Time("CreationDate", bk.Created)
		w.Opt("BucketRegion", bk.Region)
		w.Close("Bucket")
	}
	w.Close("Buckets")
	w.Opt("ContinuationToken", l.ContinuationToken)
	w.Opt("Prefix", l.Prefix)
	w.Close("ListAllMyBucketsResult")
	return w.B
}

// listWriter is a Writer with what listings share.
type listWriter struct {
	s3xml.Writer
	url bool
}

// key writes a name that a client chose.
func (w *listWriter) key(name, value string) {
	w.Open(name)
	if w.url {
		w.B = wire.AppendEscaped(w.B, value, true)
	} else {
		w.B = s3xml.AppendText(w.B, value)
	}
	w.Close(name)
}

func (w *listWriter) bounds(limitName string, limit int, delimiter string, truncated bool) {
	w.Int(limitName, int64(limit))
	if delimiter != "" {
		w.key("Delimiter", delimiter)
	}
	w.Bool("IsTruncated", truncated)
	if w.url {
		w.Str("EncodingType", "url")
	}
}

func (w *listWriter) contents(items []ObjectItem) {
	for i := range items {
		o := &items[i]
		w.Open("Contents")
		w.key("Key", o.Key)
		w.Time("LastModified", o.LastModified)
		w.body(o)
		writeOwner(&w.Writer, "Owner", o.Owner)
		w.Close("Contents")
	}
}

// body writes what an object has and a delete marker has not.
func (w *listWriter) body(o *ObjectItem) {
	writeETag(&w.Writer, o.ETag)
	if o.Algorithm != NoChecksum {
		w.Str("ChecksumAlgorithm", o.Algorithm.String())
		w.Opt("ChecksumType", o.ChecksumType)
	}
	w.Int("Size", o.Size)
	w.Str("StorageClass", orStandard(o.StorageClass))
}

func (w *listWriter) prefixes(prefixes []string) {
	for _, p := range prefixes {
		w.Open("CommonPrefixes")
		w.key("Prefix", p)
		w.Close("CommonPrefixes")
	}
}

func writeOwner(w *s3xml.Writer, name string, o *Owner) {
	if o == nil {
		return
	}
	w.Open(name)
	w.Str("ID", o.ID)
	w.Opt("DisplayName", o.DisplayName)
	w.Close(name)
}

// writeETag writes the quotes that S3 puts around an entity tag.
func writeETag(w *s3xml.Writer, tag string) {
	w.B = append(w.B, "<ETag>&quot;"...)
	w.B = s3xml.AppendText(w.B, tag)
	w.B = append(w.B, "&quot;</ETag>"...)
}

// writeChecksum writes <ChecksumCRC32>…</ChecksumCRC32> and its like.
func writeChecksum(w *s3xml.Writer, a Algorithm, value string) {
	if a != NoChecksum {
		w.Opt("Checksum"+a.String(), value)
	}
}

func orStandard(class string) string {
	if class == "" {
		return "STANDARD"
	}
	return class
}

// ListArgs are the arguments of the listings, with S3's defaults.
type ListArgs struct {
	Prefix, Delimiter string
	Marker            string // marker, key-marker or start-after
	SecondMarker      string // version-id-marker or upload-id-marker
	Token             string // continuation-token
	HasToken          bool
	MaxKeys           int // 0 to 1,000
	URLEncoding       bool
	FetchOwner        bool
}

// ParseListArgs reads the arguments of ListObjects, ListObjectsV2, ListObjectVersions and ListMultipartUploads.
func ParseListArgs(q *Request) (ListArgs, error) {
	a := ListArgs{Prefix: q.Query.Get("prefix"), Delimiter: q.Query.Get("delimiter")}
	limit := "max-keys"
	switch q.Op {
	case OpListObjects:
		a.Marker, a.FetchOwner = q.Query.Get("marker"), true
	case OpListObjectsV2:
		a.Marker = q.Query.Get("start-after")
		a.FetchOwner = q.Query.Get("fetch-owner") == "true"
		a.Token, a.HasToken = q.Query.Lookup("continuation-token")
		if a.HasToken && a.Token == "" {
			return a, s3err.InvalidArgument("continuation-token", "", "The continuation token provided is incorrect")
		}
	case OpListObjectVersions:
		a.Marker, a.SecondMarker, a.FetchOwner = q.Query.Get("key-marker"), q.Query.Get("version-id-marker"), true
		if q.Query.Has("version-id-marker") && a.Marker == "" {
			return a, s3err.InvalidArgument("version-id-marker", a.SecondMarker, "A version-id marker cannot be specified without a key marker.")
		}
	case OpListMultipartUploads:
		a.Marker, a.SecondMarker = q.Query.Get("key-marker"), q.Query.Get("upload-id-marker")
		limit = "max-uploads"
	}
	switch e, ok := q.Query.Lookup("encoding-type"); {
	case e == "url":
		a.URLEncoding = true
	case ok && e != "":
		return a, s3err.InvalidArgument("encoding-type", e, "Invalid Encoding Method specified in Request")
	}
	var err error
	a.MaxKeys, err = countArg(q, limit, 1000)
	if err != nil && q.Op == OpListObjectVersions && q.Query.Get(limit)[0] == '-' {
		err = s3err.InvalidArgument("maxKeys", q.Query.Get(limit), "max-keys cannot be negative")
	}
	return a, err
}

// ParsePartArgs reads the arguments of ListParts: parts after marker, at most limit.
func ParsePartArgs(q *Request) (marker, limit int, err error) {
	if limit, err = countArg(q, "max-parts", 1000); err != nil {
		return 0, 0, err
	}
	v := q.Query.Get("part-number-marker")
	if v == "" {
		return 0, limit, nil
	}
	marker, err = parseCount("part-number-marker", v)
	return marker, limit, err
}

// countArg reads a limit; above the largest it is the largest.
func countArg(q *Request, name string, largest int) (int, error) {
	v := q.Query.Get(name)
	if v == "" {
		return largest, nil
	}
	n, err := parseCount(name, v)
	return min(n, largest), err
}

func parseCount(name, v string) (int, error) {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, s3err.InvalidArgument(name, v, "Provided %s not an integer or within integer range", v)
	}
	if n < 0 {
		return 0, s3err.InvalidArgument(name, v, "Argument %s must be an integer between 0 and 2147483647", v)
	}
	return int(n), nil
}
