package s3api

import (
	"strings"

	"stele/internal/s3api/wire"
)

// Role is what an access key may do at all. A bucket policy can allow more to others and deny to anyone.
type Role string

const (
	Admin     Role = "admin"     // everything
	ReadWrite Role = "readwrite" // objects and their locks, tags and uploads; buckets, but not their settings
	Append    Role = "append"    // put and read: no overwrite, no delete but of restic's lock files
	ReadOnly  Role = "readonly"  // read objects and what a client must know of a bucket
	Auditor   Role = "auditor"   // read everything, settings and policies too; change nothing
)

// MustNotOverwrite tells whether a put of this role succeeds only where the key has no current version. Only the commit can
// decide that: the caller adds If-None-Match: * to the write.
func (r Role) MustNotOverwrite() bool { return r == Append }

// reads are what a client needs in order to read.
var reads = wire.Words(`s3:GetObject s3:GetObjectVersion s3:GetObjectAttributes s3:GetObjectVersionAttributes s3:GetObjectTagging
	s3:GetObjectVersionTagging s3:GetObjectRetention s3:GetObjectLegalHold s3:GetObjectAcl s3:GetObjectVersionAcl
	s3:ListBucket s3:ListBucketVersions s3:ListBucketMultipartUploads s3:ListMultipartUploadParts s3:ListAllMyBuckets
	s3:GetBucketLocation s3:GetBucketVersioning s3:GetBucketObjectLockConfiguration s3:GetBucketAcl s3:GetBucketCORS
	s3:GetEncryptionConfiguration s3:GetBucketOwnershipControls s3:GetBucketPublicAccessBlock s3:GetBucketRequestPayment
	s3:GetBucketTagging s3:GetLifecycleConfiguration`)

// puts are what adds without taking away. Which uploads role append may abort, complete or add to is decided at the commit: those that it began.
var puts = wire.Words(`s3:PutObject s3:AbortMultipartUpload`)

// changes are what readwrite may besides. Retention and legal hold are put by backup tools; weakening them is up to the
// lock's own rules: s3:BypassGovernanceRetention is not here, and ending a hold takes more than this action (call.mayEndHold).
var changes = wire.Words(`s3:DeleteObject s3:DeleteObjectVersion s3:PutObjectTagging s3:PutObjectVersionTagging s3:DeleteObjectTagging
	s3:DeleteObjectVersionTagging s3:PutObjectRetention s3:PutObjectLegalHold s3:PutObjectAcl s3:PutObjectVersionAcl
	s3:CreateBucket s3:DeleteBucket`)

// may tells whether the role has the action anywhere.
func (r Role) may(action string) bool {
	switch r {
	case Admin:
		return true
	case ReadWrite:
		return reads[action] || puts[action] || changes[action]
	case Append:
		return reads[action] || puts[action]
	case ReadOnly:
		return reads[action]
	case Auditor:
		return reads[action] || strings.HasPrefix(action, "s3:Get") || strings.HasPrefix(action, "s3:List")
	}
	return false
}

// Allowed tells whether a key with this role and scope may carry out action on bucket and key. Each scope is BUCKET or
// BUCKET/PREFIX; none means everywhere. For actions that list, key is the prefix asked for, so that a key scoped to a
// prefix can list below it and nothing else. Other actions on a bucket need the whole bucket in scope, except reading what
// a client must know of it. The key comes from Request.Subject.
func Allowed(role Role, scope []string, action, bucket, key string) bool {
	if !role.may(action) && !(role == Append && action == "s3:DeleteObject" && isResticLock(key)) {
		return false
	}
	if len(scope) == 0 || action == "s3:ListAllMyBuckets" {
		return true
	}
	for _, s := range scope {
		b, prefix, _ := strings.Cut(s, "/")
		if b != bucket {
			continue
		}
		if prefix == "" || strings.HasPrefix(key, prefix) || bucketReads[action] {
			return true
		}
	}
	return false
}

// isResticLock tells whether a key names a lock file of a restic repository: locks/ and the SHA-256 of the file's bytes in hex.
// restic holds one while it works, and hangs in retries if it cannot take it away again.
func isResticLock(key string) bool {
	const folder, idLen = "locks/", 64
	if len(key) < len(folder)+idLen {
		return false
	}
	path, id := key[:len(key)-idLen], key[len(key)-idLen:]
	return (path == folder || strings.HasSuffix(path, "/"+folder)) && strings.Trim(id, "0123456789abcdef") == ""
}

// bucketReads are about the bucket as such and say nothing about its keys.
var bucketReads = wire.Words(`s3:GetBucketLocation s3:GetBucketVersioning s3:GetBucketObjectLockConfiguration s3:GetBucketAcl
	s3:GetBucketCORS s3:GetEncryptionConfiguration s3:GetBucketOwnershipControls s3:GetBucketPublicAccessBlock s3:GetBucketRequestPayment`)

// InScope tells whether ListBuckets shows the bucket.
func InScope(scope []string, bucket string) bool {
	for _, s := range scope {
		if b, _, _ := strings.Cut(s, "/"); b == bucket {
			return true
		}
	}
	return len(scope) == 0
}
