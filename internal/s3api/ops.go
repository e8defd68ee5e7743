package s3api

import (
	"mime"
	"net/http"
)

// Op is an S3 operation; its name is that of the S3 API Reference.
type Op uint8

// opInfo is what there is to know of an operation.
type opInfo struct {
	name          string
	carriedOut    bool
	writes        bool
	action        string // what a policy must allow
	versionAction string // the same where versionId is given; "": action
}

const (
	does    = true
	refuses = false
)

func (op Op) String() string { return opTable[op].name }

// Implemented tells whether Stele carries the operation out. The others are recognised in order to refuse them by name.
func (op Op) Implemented() bool { return opTable[op].carriedOut }

// Writes tells whether the operation may change the store.
func (op Op) Writes() bool { return opTable[op].writes }

// Action is the action that role and policy must allow: s3:GetObjectVersion rather than s3:GetObject where a version is named.
func (q *Request) Action() string {
	t := &opTable[q.Op]
	if q.VersionID != "" && t.versionAction != "" {
		return t.versionAction
	}
	return t.action
}

// Subject is what a key's scope is held against: the object's key, or the prefix that a listing asks for. Any other request on a bucket is about the whole of
// it, whatever its query says, so that "?prefix=" opens nothing to a key that has a part of the bucket only.
func (q *Request) Subject() string {
	if q.Op.lists() {
		return q.Query.Get("prefix")
	}
	return q.Key
}

// lists tells whether the operation lists keys.
func (op Op) lists() bool {
	switch op {
	case OpListObjects, OpListObjectsV2, OpListObjectVersions, OpListMultipartUploads:
		return true
	}
	return false
}

// level is what a request is about.
type level uint8

const (
	onService level = iota
	onBucket
	onKey
)

// condition is what a route needs besides method, level and sub-resource.
type condition uint8

const (
	always     condition = iota
	copySource           // header x-amz-copy-source
	formBody             // a body of type multipart/form-data
	listV2               // list-type=2
	withID               // id=…: one configuration of several
)

func (c condition) holds(r *http.Request, q *Request) bool {
	switch c {
	case copySource:
		return len(r.Header["X-Amz-Copy-Source"]) > 0
	case formBody:
		mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		return err == nil && mt == "multipart/form-data"
	case listV2:
		return q.Query.Get("list-type") == "2"
	case withID:
		return q.Query.Has("id")
	}
	return true
}

type route struct {
	method string
	level  level
	sub    string // the query parameter that selects it, "" for none
	when   condition
	op     Op
}

// place is where a route is looked for.
type place struct {
	method string
	level  level
}

// routesAt holds routes by place, in the table's order. subresources are all names that stand for a sub-resource.
var routesAt, subresources = func() (map[place][]route, map[string]bool) {
	at, subs := map[place][]route{}, map[string]bool{}
	for _, r := range routes {
		at[place{r.method, r.level}] = append(at[place{r.method, r.level}], r)
		if r.sub != "" {
			subs[r.sub] = true
		}
	}
	return at, subs
}()
