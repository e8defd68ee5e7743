package attacktest

import (
	"slices"
	"strings"
)

// right is who may do something: which roles, and how much of the bucket their scope must hold.
type right struct {
	roles string
	reach reach
}

type reach int

const (
	anywhere reach = iota // the scope does not matter
	aPart                 // any part of the bucket
	theWhole              // the whole bucket
	theKey                // the key, or the prefix that is listed
)

// The rights, as docs/S3.md states them. They are written down here once more, on purpose: a change of the code alone must not change what is expected of it.
var (
	seesBuckets  = right{"admin readwrite append readonly auditor", anywhere}
	knowsBucket  = right{"admin readwrite append readonly auditor", aPart}
	readsBucket  = right{"admin readwrite append readonly auditor", theWhole}
	lists        = right{"admin readwrite append readonly auditor", theKey}
	readsObject  = right{"admin readwrite append readonly auditor", theKey}
	audits       = right{"admin auditor", theWhole}
	auditsObject = right{"admin auditor", theKey}
	adds         = right{"admin readwrite append", theKey}
	changes      = right{"admin readwrite", theKey}
	makesBuckets = right{"admin readwrite", theWhole}
	governs      = right{"admin", theKey}
	administers  = right{"admin", theWhole}
	nobody       = right{"", anywhere}
)

// caller is who asks.
type caller struct {
	name  string
	role  string // "" has none: nobody believes what this caller says of itself
	scope string // BUCKET, BUCKET/PREFIX, or "" for everywhere
}

// has tells whether a caller has a right to a subject: BUCKET/ for all of a bucket, or BUCKET/KEY.
func (c caller) has(r right, subject string) bool {
	if !slices.Contains(strings.Fields(r.roles), c.role) {
		return false
	}
	bucket, _, _ := strings.Cut(subject, "/")
	switch scope := c.scope; {
	case scope == "" || r.reach == anywhere || scope == bucket:
		return true
	case r.reach == aPart:
		return strings.HasPrefix(scope, bucket+"/")
	case r.reach == theWhole:
		return false
	default:
		return strings.Contains(scope, "/") && strings.HasPrefix(subject, scope)
	}
}

// line is what the table says of operations that take the same right.
type line struct {
	ops string
	right
	bucket  string   // "": box; # stands for a number that is used once
	key     string   // "": in/k; of a listing the prefix that is asked for, "": none
	source  string   // of a copy: BUCKET/KEY; past: before it is its view
	query   string   // besides what selects the operation
	headers []string // "Name: value"
	body    string
	before  func(s *siege, by caller) (query, body string) // what must be there; run before each request that is allowed
	lock    bool                                           // only a bucket with object lock has it
	ok      []int                                          // statuses of those who may; none: 2xx, or 501 where Stele does not carry it out
}

const (
	onHold     = "<LegalHold><Status>ON</Status></LegalHold>"
	offHold    = "<LegalHold><Status>OFF</Status></LegalHold>"
	retention  = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2090-01-01T00:00:00Z</RetainUntilDate></Retention>"
	shorter    = "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2080-01-01T00:00:00Z</RetainUntilDate></Retention>"
	tagging    = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
	deleteTwo  = "<Delete><Object><Key>in/k</Key></Object><Object><Key>in/k2</Key></Object></Delete>"
	cors       = "<CORSConfiguration><CORSRule><AllowedOrigin>https://good.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"
	lifecycle  = "<LifecycleConfiguration><Rule><ID>a</ID><Filter><Prefix>none/</Prefix></Filter><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
	encryption = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
	ownership  = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"
	noPublic   = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>"
	versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	objectLock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
	policy     = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/none"}]}`
)

var (
	bypass   = []string{"X-Amz-Bypass-Governance-Retention: true"}
	private  = []string{"X-Amz-Acl: private"}
	asked    = []string{"X-Amz-Object-Attributes: ETag,ObjectSize"}
	noOrigin = []string{"Origin: https://evil.example", "Access-Control-Request-Method: GET"}
	maybeSet = []int{200, 404}
)

// table says who may do what. An operation without a line fails the test.
var table = []line{
	{ops: "OPTIONS", right: nobody, headers: noOrigin},
	{ops: "ListBuckets", right: seesBuckets},

	{ops: "GetObject HeadObject", right: readsObject},
	{ops: "GetObject HeadObject GetObjectAcl GetObjectTagging", right: readsObject, before: newVersion},
	{ops: "GetObjectAttributes", right: readsObject, headers: asked},
	{ops: "GetObjectAcl GetObjectTagging", right: readsObject, ok: maybeSet},
	{ops: "GetObjectLegalHold GetObjectRetention", right: readsObject, lock: true, ok: maybeSet},
	{ops: "SelectObjectContent", right: readsObject, ok: []int{501}},
	{ops: "GetObjectTorrent", right: auditsObject},
	{ops: "ListParts", right: readsObject, before: upload},

	{ops: "ListObjects ListObjectsV2 ListObjectVersions ListMultipartUploads", right: lists, key: "in/"},
	{ops: "ListObjects ListObjectsV2 ListObjectVersions ListMultipartUploads", right: lists, key: "in"}, // more than the scope in/
	{ops: "ListObjects ListObjectsV2 ListObjectVersions ListMultipartUploads", right: lists},

	{ops: "PutObject", right: adds, key: "in/new#", body: "bytes"},
	{ops: "PutObject", right: adds, key: "in/new#", body: "bytes", headers: []string{"X-Amz-Tagging: a=b", "X-Amz-Object-Lock-Legal-Hold: ON"}, lock: true},
	{ops: "PutObject", right: changes, body: "bytes"}, // over what is there
	{ops: "PostObject", right: adds, key: "in/new#", body: "bytes"},
	{ops: "PostObject", right: changes, body: "bytes"},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "box/in/k"},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "past:box/in/k"},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "box/out/k"},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "past:box/out/k"},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "other/in/k"},
	{ops: "CopyObject", right: changes, source: "other/in/k"},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "none/in/k", ok: []int{404}},
	{ops: "CopyObject", right: adds, key: "in/new#", source: "past:none/in/k", ok: []int{404}},
	{ops: "CreateMultipartUpload", right: adds, key: "in/new#"},
	{ops: "UploadPart", right: changes, query: "partNumber=1", body: "another part", before: upload},
	{ops: "UploadPart", right: adds, query: "partNumber=1", body: "another part", before: ownUpload},
	{ops: "UploadPartCopy", right: changes, query: "partNumber=1", source: "box/in/k", before: upload},
	{ops: "UploadPartCopy", right: adds, query: "partNumber=1", source: "past:box/in/k", before: ownUpload},
	{ops: "UploadPartCopy", right: adds, query: "partNumber=1", source: "box/out/k", before: ownUpload},
	{ops: "UploadPartCopy", right: adds, query: "partNumber=1", source: "other/in/k", before: ownUpload},
	{ops: "CompleteMultipartUpload AbortMultipartUpload", right: changes, before: upload},
	{ops: "AbortMultipartUpload", right: adds, before: ownUpload},
	{ops: "RenameObject", right: adds},

	{ops: "DeleteObject", right: changes},
	{ops: "DeleteObject", right: changes, before: newVersion},
	{ops: "DeleteObject", right: governs, headers: bypass, before: lockedVersion, lock: true, ok: []int{204}},
	{ops: "DeleteObjects", right: changes, body: deleteTwo},
	{ops: "PutObjectTagging", right: changes, body: tagging, before: present},
	{ops: "PutObjectTagging", right: changes, body: tagging, before: newVersion},
	{ops: "DeleteObjectTagging", right: changes, before: present},
	{ops: "PutObjectAcl", right: changes, headers: private, before: present},
	{ops: "PutObjectLegalHold", right: changes, key: "in/held", body: onHold, lock: true},
	{ops: "PutObjectLegalHold", right: governs, body: offHold, before: heldVersion, lock: true},
	{ops: "PutObjectRetention", right: changes, key: "in/held", body: retention, lock: true},
	{ops: "PutObjectRetention", right: governs, body: shorter, headers: bypass, before: lockedVersion, lock: true},
	{ops: "RestoreObject UpdateObjectEncryption", right: governs},

	{ops: "CreateBucket", right: makesBuckets, bucket: "new-#"},
	{ops: "CreateBucket", right: makesBuckets, ok: []int{200, 409}},
	{ops: "DeleteBucket", right: makesBuckets, ok: []int{409}}, // it is not empty
	{ops: "DeleteBucket", right: makesBuckets, bucket: "empty-#", before: emptyBucket},

	{ops: "HeadBucket GetBucketLocation GetBucketVersioning GetBucketAcl GetBucketRequestPayment", right: knowsBucket},
	{ops: "GetObjectLockConfiguration", right: knowsBucket, lock: true},
	{ops: "GetBucketCors GetBucketEncryption GetBucketOwnershipControls GetPublicAccessBlock", right: knowsBucket, ok: maybeSet},
	{ops: "GetBucketTagging GetBucketLifecycleConfiguration", right: readsBucket, ok: maybeSet},
	{ops: "GetBucketPolicy GetBucketPolicyStatus", right: audits, ok: maybeSet},
	{ops: `GetBucketLogging GetBucketNotificationConfiguration GetBucketReplication GetBucketWebsite GetBucketAccelerateConfiguration GetBucketAbac
		GetBucketAnalyticsConfiguration ListBucketAnalyticsConfigurations GetBucketIntelligentTieringConfiguration ListBucketIntelligentTieringConfigurations
		GetBucketInventoryConfiguration ListBucketInventoryConfigurations GetBucketMetricsConfiguration ListBucketMetricsConfigurations
		GetBucketMetadataTableConfiguration GetBucketMetadataConfiguration`, right: audits},

	{ops: "PutBucketVersioning", right: administers, body: versioning},
	{ops: "PutObjectLockConfiguration", right: administers, body: objectLock, lock: true},
	{ops: "PutBucketAcl", right: administers, headers: private},
	{ops: "PutBucketTagging", right: administers, body: tagging},
	{ops: "PutBucketPolicy", right: administers, body: policy},
	{ops: "PutBucketCors", right: administers, body: cors},
	{ops: "PutBucketLifecycleConfiguration", right: administers, body: lifecycle},
	{ops: "PutBucketEncryption", right: administers, body: encryption},
	{ops: "PutBucketOwnershipControls", right: administers, body: ownership},
	{ops: "PutPublicAccessBlock", right: administers, body: noPublic},
	{ops: `DeleteBucketTagging DeleteBucketPolicy DeleteBucketCors DeleteBucketLifecycle DeleteBucketEncryption DeleteBucketOwnershipControls
		DeletePublicAccessBlock`, right: administers},
	{ops: `PutBucketRequestPayment PutBucketLogging PutBucketNotificationConfiguration PutBucketReplication DeleteBucketReplication PutBucketWebsite
		DeleteBucketWebsite PutBucketAccelerateConfiguration PutBucketAbac PutBucketAnalyticsConfiguration DeleteBucketAnalyticsConfiguration
		PutBucketIntelligentTieringConfiguration DeleteBucketIntelligentTieringConfiguration PutBucketInventoryConfiguration DeleteBucketInventoryConfiguration
		PutBucketMetricsConfiguration DeleteBucketMetricsConfiguration CreateBucketMetadataTableConfiguration DeleteBucketMetadataTableConfiguration
		CreateBucketMetadataConfiguration DeleteBucketMetadataConfiguration UpdateBucketMetadataInventoryTableConfiguration
		UpdateBucketMetadataJournalTableConfiguration CreateSession`, right: administers},
}
