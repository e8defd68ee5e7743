package policy

import (
	"bytes"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
)

// FuzzPolicy: a policy is refused, or it decides; one that only denies never allows.
func FuzzPolicy(f *testing.F) {
	for _, p := range []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"}]}`,
		`{"Statement":{"Sid":"a","Effect":"Deny","Principal":{"AWS":["a","b"]},"NotAction":"s3:*","NotResource":["arn:aws:s3:::photos"],"Condition":{"StringLike":{"s3:prefix":["${aws:username}/*"]}}}}`,
		`{"Statement":[{"Effect":"Deny","NotPrincipal":"*","Action":"*","Resource":"arn:aws:s3:::photos*","Condition":{"ForAllValues:NumericLessThanIfExists":{"s3:max-keys":[1,"2"]},"Null":{"aws:SourceIp":true},"NotIpAddress":{"aws:SourceIp":"::/0"}}}]}`,
	} {
		f.Add([]byte(p), "alice", "s3:GetObject", "a/b")
	}
	f.Fuzz(func(t *testing.T, doc []byte, who, action, key string) {
		p, err := Parse(doc, Rules{Bucket: "photos"})
		s3errtest.Client(t, err)
		if err != nil {
			return
		}
		ask := &Ask{Principal: who, Action: action, Bucket: "photos", Key: key, Context: Context{"aws:username": {who}, "s3:prefix": {key}}}
		got := p.Evaluate(ask)
		if got == Allows && !bytes.Contains(doc, []byte("llow")) {
			t.Fatalf("%s allowed", doc)
		}
		if p.Evaluate(ask) != got {
			t.Fatal("decided twice")
		}
	})
}
