package attacktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// TestRoles asks for each operation in the name of each role, signed in the header and in the query, of the present and of a view of the past, of each kind of bucket, and holds what comes to the table.
// What is denied must leave nothing behind but a note of the denial.
func TestRoles(t *testing.T) {
	told := map[string]bool{}
	for _, o := range s3api.Operations() {
		told[o.Name] = false
	}
	for _, l := range table {
		for _, name := range strings.Fields(l.ops) {
			if _, ok := told[name]; !ok {
				t.Errorf("the table has a line for %s, which is no operation", name)
			}
			told[name] = true
		}
	}
	for name, ok := range told {
		if !ok {
			t.Errorf("the operation %s has no line in the table of rights (rights_test.go): say there who may do it", name)
		}
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := besiege(t, k)
			for _, l := range k.lines() {
				for _, o := range s3api.Operations() {
					if !slices.Contains(strings.Fields(l.ops), o.Name) {
						continue
					}
					for _, past := range []bool{false, true} {
						s.attack(&assault{op: o, line: l, past: past})
					}
				}
			}
			s.pastStands()
			if k.gone {
				s.newLifeIsEmpty()
			}
		})
	}
}

// assault is one operation by one line of the table, in the present or in the past.
type assault struct {
	op s3api.Operation
	line
	past bool
}

// isListing tells whether the key of the line is a prefix.
func (a *assault) isListing() bool { return a.reach == theKey && !a.op.Key && a.op.Method == "GET" }

// subject is what a scope must hold. # is of no scope but everywhere.
func (a *assault) subject() string {
	key := a.key
	if key == "" && !a.isListing() {
		key = "in/k"
	}
	if a.reach != theKey {
		key = ""
	}
	return orBox(a.bucket) + "/" + key
}

func orBox(bucket string) string {
	if bucket == "" {
		return "box"
	}
	return bucket
}

// may tells whether the table allows it to a caller.
func (a *assault) may(c caller) bool {
	if a.past && a.op.Writes {
		return false // a view cannot be changed, whoever asks
	}
	return c.has(a.right, a.subject()) && (a.source == "" || c.has(readsObject, strings.TrimPrefix(a.source, "past:")))
}

// attack lets first all those ask who may not, then the others.
func (s *siege) attack(a *assault) {
	s.Helper()
	query, body := s.prepare(a, s.callers[0])
	number, before := s.used, s.dump()
	for _, c := range s.callers {
		if a.may(c) {
			continue
		}
		for _, presigned := range s.ways() {
			for _, q := range s.requests(a, query, body, number) {
				since := s.store.Ledger().Size()
				res := s.send(c, q, presigned)
				what := s.name(a, c, q, presigned)
				if !a.refused(res) && !s.mayKnowItIsGone(a, c, res) {
					s.Errorf("%s: %d %s, and the table denies it\n%.300s", what, res.Status, res.Code(), res.Body)
				}
				if code := res.Code(); c.role != "" && (code == "SignatureDoesNotMatch" || code == "InvalidAccessKeyId") {
					s.Errorf("%s: %s: this proves nothing", what, code)
				}
				if strings.Contains(string(res.Body), secretWords) {
					s.Errorf("%s: denied, but it shows the object", what)
				}
				s.onlyDenials(what, since)
			}
		}
	}
	if after := s.dump(); after != before {
		s.Errorf("%s by those who may not changed something: gone is\n%snew is\n%s", a.op.Name, missing(before, after), missing(after, before))
	}
	for _, c := range s.callers {
		if !a.may(c) {
			continue
		}
		for _, presigned := range s.ways() {
			query, body := s.prepare(a, c)
			q := s.requests(a, query, body, s.used)[0]
			res := s.send(c, q, presigned)
			if !s.carriedOut(a, res) {
				s.Errorf("%s: %d %s, and the table allows it\n%.300s", s.name(a, c, q, presigned), res.Status, res.Code(), res.Body)
			}
			if a.op.Name == "ListBuckets" && strings.HasPrefix(c.scope, "box") && strings.Contains(string(res.Body), "<Name>other</Name>") {
				s.Errorf("%s lists a bucket that is not in its scope", c.name)
			}
		}
	}
}

// missing are the lines of one dump that another does not have.
func missing(from, in string) string {
	var b strings.Builder
	for l := range strings.Lines(from) {
		if !strings.Contains(in, l) {
			b.WriteString(l)
		}
	}
	return b.String()
}

// prepare makes what the request needs, and takes the next number.
func (s *siege) prepare(a *assault, by caller) (query, body string) {
	s.Helper()
	if a.before != nil {
		query, body = a.before(s, by)
	}
	s.used++
	return query, body
}

// requests are the line's request and, if it is denied, the same with a prefix that a scope could be held against by mistake.
func (s *siege) requests(a *assault, query, body string, number int) []request {
	numbered := func(text string) string { return strings.ReplaceAll(text, "#", fmt.Sprint(number)) }
	q := request{method: a.op.Method, headers: a.headers, body: a.body, form: a.op.Form}
	if q.body == "" {
		q.body = body
	}
	if slices.Contains([]string{"GET", "HEAD", "DELETE"}, q.method) {
		q.body = ""
	}
	var words []string
	for _, w := range append(strings.Split(a.op.Query, "&"), a.query, query) {
		if w != "" {
			name, _, _ := strings.Cut(w, "=")
			words = slices.DeleteFunc(words, func(had string) bool { return had == name+"=" }) // uploadId= is to be filled in
			words = append(words, w)
		}
	}
	if a.op.Bucket {
		q.bucket = numbered(orBox(a.bucket))
		if a.past {
			q.bucket = s.viewOf(q.bucket)
		}
	}
	if q.key = numbered(a.key); q.key == "" {
		q.key = "in/k"
	}
	if a.isListing() {
		words = append(words, "prefix="+strings.ReplaceAll(a.key, "/", "%2F"))
	}
	if !a.op.Key && !a.op.Form {
		q.key = ""
	}
	if a.source != "" {
		from, past := strings.CutPrefix(a.source, "past:")
		bucket, key, _ := strings.Cut(from, "/")
		if past {
			bucket = s.viewOf(bucket)
		}
		q.headers = append(slices.Clone(q.headers), "X-Amz-Copy-Source: /"+bucket+"/"+key)
	}
	slices.Sort(words) // the signature wants them in order
	q.query = strings.Join(words, "&")
	out := []request{q}
	if a.op.Bucket && !a.op.Key && !a.isListing() {
		words = append(words, "prefix=in%2F")
		slices.Sort(words)
		q.query = strings.Join(words, "&")
		out = append(out, q)
	}
	return out
}

func (s *siege) viewOf(bucket string) string { return fmt.Sprintf("%s--at-e%d", bucket, s.past) }

func (s *siege) name(a *assault, c caller, q request, presigned bool) string {
	way := "header"
	if presigned {
		way = "presigned"
	}
	return fmt.Sprintf("%s by %s (%s): %s /%s/%s?%s from %q", a.op.Name, c.name, way, q.method, q.bucket, q.key, q.query, a.source)
}

// refused tells whether a reply denies. Three things are denied in words of their own.
func (a *assault) refused(res *doortest.Reply) bool {
	switch body := string(res.Body); {
	case res.Status == 403:
		return true
	case a.op.Name == "DeleteObjects": // each key is answered for itself
		return res.Status == 200 && strings.Contains(body, "<Code>AccessDenied</Code>") && !strings.Contains(body, "<Deleted>")
	case a.op.Name == "CreateBucket": // the name of a view is no name for a bucket
		return a.past && res.Status == 400
	}
	return false
}

// carriedOut tells whether a reply is of an operation that was let in.
func (s *siege) carriedOut(a *assault, res *doortest.Reply) bool {
	switch {
	case !a.past && s.isGone(a):
		return res.Status == 404 || !a.op.Does && res.Status == 501
	case a.lock && !s.kind.lock: // let in, and told that the bucket has no object lock
		return slices.Contains(append([]int{400, 404, 409}, a.ok...), res.Status)
	case a.op.Name == "DeleteObjects" && strings.Contains(string(res.Body), "<Error>"):
		return false
	case len(a.ok) > 0:
		return slices.Contains(a.ok, res.Status) || a.past && res.Status == 404
	case !a.op.Does:
		return res.Status == 501
	case a.past:
		return res.Status/100 == 2 || res.Status == 404 // not everything is there in the past
	}
	return res.Status/100 == 2
}
