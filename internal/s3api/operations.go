package s3api

// Operation is one way to ask for something at the door: a line of the routing table, as a client would write it.
type Operation struct {
	Name   string // that of the S3 API Reference
	Method string
	Bucket bool // the path names a bucket
	Key    bool // and a key
	Query  string
	Copies bool // it needs the header x-amz-copy-source
	Form   bool // its body is a form
	Does   bool // Stele carries it out
	Writes bool // it may change the store
}

// Operations are all that the door can recognise, in the order of the routing table, and the CORS preflight. A test that holds a rule against each of them misses no new one.
func Operations() []Operation {
	out := []Operation{{Name: OpPreflight.String(), Method: "OPTIONS", Bucket: true, Key: true, Does: true}}
	for _, r := range routes {
		o := Operation{Name: r.op.String(), Method: r.method, Bucket: r.level != onService, Key: r.level == onKey, Copies: r.when == copySource, Form: r.when == formBody,
			Does: r.op.Implemented(), Writes: r.op.Writes()}
		if r.sub != "" {
			o.Query = r.sub + "="
		}
		switch r.when {
		case listV2:
			o.Query = "list-type=2"
		case withID:
			o.Query += "&id=1"
		}
		out = append(out, o)
	}
	return out
}
