package s3api

import (
	"strconv"
	"time"
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
	w := listWriter{xw{b}, l.URLEncoding}
	w.root("ListBucketResult")
	w.str("Name", l.Name)
	w.key("Prefix", l.Prefix)
	w.key("Marker", l.Marker)
	if l.NextMarker != "" {
		w.key("NextMarker", l.NextMarker)
	}
	w.bounds("MaxKeys", l.MaxKeys, l.Delimiter, l.IsTruncated)
	w.contents(l.Contents)
	w.prefixes(l.CommonPrefixes)
	w.close("ListBucketResult")
	return w.b
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
	w := listWriter{xw{b}, l.URLEncoding}
	w.root("ListBucketResult")
	w.str("Name", l.Name)
	w.key("Prefix", l.Prefix)
	if l.HasContinuationToken {
		w.str("ContinuationToken", l.ContinuationToken)
	}
	w.opt("NextContinuationToken", l.NextContinuationToken)
	if l.StartAfter != "" {
		w.key("StartAfter", l.StartAfter)
	}
	w.int("KeyCount", int64(len(l.Contents)+len(l.CommonPrefixes)))
	w.bounds("MaxKeys", l.MaxKeys, l.Delimiter, l.IsTruncated)
	w.contents(l.Contents)
	w.prefixes(l.CommonPrefixes)
	w.close("ListBucketResult")
	return w.b
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
	w := listWriter{xw{b}, l.URLEncoding}
	w.root("ListVersionsResult")
	w.str("Name", l.Name)
	w.key("Prefix", l.Prefix)
	w.key("KeyMarker", l.KeyMarker)
	w.str("VersionIdMarker", l.VersionIDMarker)
	if l.NextKeyMarker != "" {
		w.key("NextKeyMarker", l.NextKeyMarker)
	}
	w.opt("NextVersionIdMarker", l.NextVersionIDMarker)
	w.bounds("MaxKeys", l.MaxKeys, l.Delimiter, l.IsTruncated)
	for i := range l.Versions {
		v := &l.Versions[i]
		name := "Version"
		if v.DeleteMarker {
			name = "DeleteMarker"
		}
		w.open(name)
		w.key("Key", v.Key)
		w.str("VersionId", v.VersionID)
		w.bool("IsLatest", v.IsLatest)
		w.time("LastModified", v.LastModified)
		if !v.DeleteMarker {
			w.body(&v.ObjectItem)
		}
		w.owner("Owner", v.Owner)
		w.close(name)
	}
	w.prefixes(l.CommonPrefixes)
	w.close("ListVersionsResult")
	return w.b
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
	w := listWriter{xw{b}, l.URLEncoding}
	w.root("ListMultipartUploadsResult")
	w.str("Bucket", l.Bucket)
	w.key("KeyMarker", l.KeyMarker)
	w.str("UploadIdMarker", l.UploadIDMarker)
	w.key("NextKeyMarker", l.NextKeyMarker)
	w.str("NextUploadIdMarker", l.NextUploadIDMarker)
	w.key("Prefix", l.Prefix)
	w.bounds("MaxUploads", l.MaxUploads, l.Delimiter, l.IsTruncated)
	for i := range l.Uploads {
		u := &l.Uploads[i]
		w.open("Upload")
		w.key("Key", u.Key)
		w.str("UploadId", u.UploadID)
		w.owner("Initiator", u.Owner)
		w.owner("Owner", u.Owner)
		w.str("StorageClass", orStandard(u.StorageClass))
		w.time("Initiated", u.Initiated)
		w.opt("ChecksumAlgorithm", u.Algorithm.String())
		w.opt("ChecksumType", u.ChecksumType)
		w.close("Upload")
	}
	w.prefixes(l.CommonPrefixes)
	w.close("ListMultipartUploadsResult")
	return w.b
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
	w := listWriter{xw{b}, l.URLEncoding}
	w.root("ListPartsResult")
	w.str("Bucket", l.Bucket)
	w.key("Key", l.Key)
	w.str("UploadId", l.UploadID)
	w.owner("Initiator", l.Owner)
	w.owner("Owner", l.Owner)
	w.str("StorageClass", orStandard(l.StorageClass))
	w.int("PartNumberMarker", int64(l.PartNumberMarker))
	w.int("NextPartNumberMarker", int64(l.NextPartNumberMarker))
	w.bounds("MaxParts", l.MaxParts, "", l.IsTruncated)
	w.opt("ChecksumAlgorithm", l.Algorithm.String())
	w.opt("ChecksumType", l.ChecksumType)
	for i := range l.Parts {
		p := &l.Parts[i]
		w.open("Part")
		w.int("PartNumber", int64(p.PartNumber))
		w.time("LastModified", p.LastModified)
		w.etag(p.ETag)
		w.int("Size", p.Size)
		w.checksum(l.Algorithm, p.Checksum)
		w.close("Part")
	}
	w.close("ListPartsResult")
	return w.b
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
	w := listWriter{xw{b}, false}
	w.root("ListAllMyBucketsResult")
	w.owner("Owner", &l.Owner)
	w.open("Buckets")
	for _, bk := range l.Buckets {
		w.open("Bucket")
		w.str("Name", bk.Name)
		w.time("CreationDate", bk.Created)
		w.opt("BucketRegion", bk.Region)
		w.close("Bucket")
	}
	w.close("Buckets")
	w.opt("ContinuationToken", l.ContinuationToken)
	w.opt("Prefix", l.Prefix)
	w.close("ListAllMyBucketsResult")
	return w.b
}

// listWriter is xw with what listings share.
type listWriter struct {
	xw
	url bool
}

// key writes a name that a client chose.
func (w *listWriter) key(name, value string) {
	w.open(name)
	if w.url {
		w.b = appendEscaped(w.b, value, true)
	} else {
		w.b = appendText(w.b, value)
	}
	w.close(name)
}

func (w *listWriter) bounds(limitName string, limit int, delimiter string, truncated bool) {
	w.int(limitName, int64(limit))
	if delimiter != "" {
		w.key("Delimiter", delimiter)
	}
	w.bool("IsTruncated", truncated)
	if w.url {
		w.str("EncodingType", "url")
	}
}

func (w *listWriter) contents(items []ObjectItem) {
	for i := range items {
		o := &items[i]
		w.open("Contents")
		w.key("Key", o.Key)
		w.time("LastModified", o.LastModified)
		w.body(o)
		w.owner("Owner", o.Owner)
		w.close("Contents")
	}
}

// body writes what an object has and a delete marker has not.
func (w *listWriter) body(o *ObjectItem) {
	w.etag(o.ETag)
	if o.Algorithm != NoChecksum {
		w.str("ChecksumAlgorithm", o.Algorithm.String())
		w.opt("ChecksumType", o.ChecksumType)
	}
	w.int("Size", o.Size)
	w.str("StorageClass", orStandard(o.StorageClass))
}

func (w *listWriter) prefixes(prefixes []string) {
	for _, p := range prefixes {
		w.open("CommonPrefixes")
		w.key("Prefix", p)
		w.close("CommonPrefixes")
	}
}

func (w *xw) owner(name string, o *Owner) {
	if o == nil {
		return
	}
	w.open(name)
	w.str("ID", o.ID)
	w.opt("DisplayName", o.DisplayName)
	w.close(name)
}

// etag writes the quotes that S3 puts around an entity tag.
func (w *xw) etag(tag string) {
	w.b = append(w.b, "<ETag>&quot;"...)
	w.b = appendText(w.b, tag)
	w.b = append(w.b, "&quot;</ETag>"...)
}

// checksum writes <ChecksumCRC32>…</ChecksumCRC32> and its like.
func (w *xw) checksum(a Algorithm, value string) {
	if a != NoChecksum {
		w.opt("Checksum"+a.String(), value)
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
			return a, InvalidArgument("continuation-token", "", "The continuation token provided is incorrect")
		}
	case OpListObjectVersions:
		a.Marker, a.SecondMarker, a.FetchOwner = q.Query.Get("key-marker"), q.Query.Get("version-id-marker"), true
		if q.Query.Has("version-id-marker") && a.Marker == "" {
			return a, InvalidArgument("version-id-marker", a.SecondMarker, "A version-id marker cannot be specified without a key marker.")
		}
	case OpListMultipartUploads:
		a.Marker, a.SecondMarker = q.Query.Get("key-marker"), q.Query.Get("upload-id-marker")
		limit = "max-uploads"
	}
	switch e, ok := q.Query.Lookup("encoding-type"); {
	case e == "url":
		a.URLEncoding = true
	case ok && e != "":
		return a, InvalidArgument("encoding-type", e, "Invalid Encoding Method specified in Request")
	}
	var err error
	a.MaxKeys, err = countArg(q, limit, 1000)
	if err != nil && q.Op == OpListObjectVersions && q.Query.Get(limit)[0] == '-' {
		err = InvalidArgument("maxKeys", q.Query.Get(limit), "max-keys cannot be negative")
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
		return 0, InvalidArgument(name, v, "Provided %s not an integer or within integer range", v)
	}
	if n < 0 {
		return 0, InvalidArgument(name, v, "Argument %s must be an integer between 0 and 2147483647", v)
	}
	return int(n), nil
}
