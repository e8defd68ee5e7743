package s3api

import "testing"

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		role   Role
		scope  string
		action string
		bucket string
		key    string
		want   bool
	}{
		{Admin, "", "s3:PutBucketPolicy", "b", "", true},
		{Admin, "b", "s3:PutBucketPolicy", "c", "", false},
		{Admin, "b", "s3:BypassGovernanceRetention", "b", "k", true},
		{ReadWrite, "", "s3:DeleteObjectVersion", "b", "k", true},
		{ReadWrite, "", "s3:BypassGovernanceRetention", "b", "k", false},
		{ReadWrite, "", "s3:PutBucketPolicy", "b", "", false},
		{ReadWrite, "", "s3:PutLifecycleConfiguration", "b", "", false},
		{ReadWrite, "b/home/", "s3:PutObject", "b", "home/x", true},
		{ReadWrite, "b/home/", "s3:PutObject", "b", "homely", false},
		{ReadWrite, "b/home/", "s3:ListBucket", "b", "home/", true},
		{ReadWrite, "b/home/", "s3:ListBucket", "b", "", false},
		{ReadWrite, "b/home/", "s3:DeleteBucket", "b", "", false},
		{ReadWrite, "b/home/", "s3:GetBucketLocation", "b", "", true},
		{ReadWrite, "b/home/", "s3:GetBucketTagging", "b", "", false},
		{ReadWrite, "b", "s3:PutObject", "bb", "k", false},
		{ReadWrite, "b", "s3:ListAllMyBuckets", "", "", true},
		{Append, "", "s3:PutObject", "b", "k", true},
		{Append, "", "s3:GetObject", "b", "k", true},
		{Append, "", "s3:AbortMultipartUpload", "b", "k", true},
		{Append, "", "s3:DeleteObject", "b", "k", false},
		{Append, "", "s3:DeleteObjectVersion", "b", "k", false},
		{Append, "", "s3:PutObjectRetention", "b", "k", false},
		{Append, "", "s3:PutObjectTagging", "b", "k", false},
		{Append, "", "s3:DeleteBucket", "b", "", false},
		{ReadOnly, "", "s3:GetObjectVersion", "b", "k", true},
		{ReadOnly, "", "s3:PutObject", "b", "k", false},
		{ReadOnly, "", "s3:GetBucketPolicy", "b", "", false},
		{Auditor, "", "s3:GetBucketPolicy", "b", "", true},
		{Auditor, "", "s3:PutObject", "b", "k", false},
		{Auditor, "", "s3:DeleteObject", "b", "k", false},
		{Role("king"), "", "s3:GetObject", "b", "k", false},
		{"", "", "s3:GetObject", "b", "k", false},
	} {
		var scope []string
		if c.scope != "" {
			scope = []string{"other", c.scope}
		}
		if got := Allowed(c.role, scope, c.action, c.bucket, c.key); got != c.want {
			t.Errorf("%s %q %s on %s/%s: %v", c.role, c.scope, c.action, c.bucket, c.key, got)
		}
	}
}

// No role but admin may write settings, and only three may write at all.
func TestRolesByOperation(t *testing.T) {
	for op := opUnknown + 1; op < opCount; op++ {
		q := &Request{Op: op, Bucket: "b", Key: "k"}
		may := func(role Role) bool { return Allowed(role, nil, q.Action(), q.Bucket, q.Subject()) }
		if op.Writes() && (may(ReadOnly) || may(Auditor)) {
			t.Errorf("a role that reads may %s", op)
		}
		if op.Writes() && may(Append) && q.Action() != "s3:PutObject" && q.Action() != "s3:AbortMultipartUpload" {
			t.Errorf("append may %s", op)
		}
	}
	if !Append.MustNotOverwrite() || ReadWrite.MustNotOverwrite() {
		t.Error("MustNotOverwrite")
	}
}
