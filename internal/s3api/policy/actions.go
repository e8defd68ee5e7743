package policy

import (
	"strings"

	"stele/internal/s3api/wire"
)

// Level is what an action is about, and so which resources of a statement it can apply to.
type Level uint8

const (
	OnStore  Level = iota + 1 // no bucket
	OnBucket                  // a bucket as such, and what is in it as a whole
	OnObject                  // an object, or the key of one to be
)

// actions gives the level of every action that a policy may name, by its name in lower case: those of S3's operations, which s3api's table asks for, and those that are
// asked for besides an operation. Replication's are there for the policies that name them; nothing asks for them here.
var actions = func() map[string]Level {
	m := map[string]Level{}
	for level, names := range map[Level]string{OnStore: onStoreActions, OnBucket: onBucketActions, OnObject: onObjectActions} {
		for name := range wire.Words(names) {
			m[strings.ToLower(name)] = level
		}
	}
	return m
}()

const (
	onStoreActions  = `s3:ListAllMyBuckets`
	onBucketActions = `s3:ListBucketMultipartUploads s3:ListBucketVersions s3:ListBucket s3:GetBucketLocation s3:GetBucketVersioning s3:PutBucketVersioning
		s3:GetBucketObjectLockConfiguration s3:PutBucketObjectLockConfiguration s3:GetBucketAcl s3:PutBucketAcl s3:GetBucketTagging
		s3:PutBucketTagging s3:GetBucketPolicy s3:PutBucketPolicy s3:DeleteBucketPolicy s3:GetBucketPolicyStatus s3:GetBucketCORS s3:PutBucketCORS
		s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration s3:GetEncryptionConfiguration s3:PutEncryptionConfiguration
		s3:GetBucketOwnershipControls s3:PutBucketOwnershipControls s3:GetBucketPublicAccessBlock s3:PutBucketPublicAccessBlock
		s3:GetBucketRequestPayment s3:PutBucketRequestPayment s3:GetBucketLogging s3:PutBucketLogging s3:GetBucketNotification
		s3:PutBucketNotification s3:GetReplicationConfiguration s3:PutReplicationConfiguration s3:GetBucketWebsite s3:PutBucketWebsite
		s3:DeleteBucketWebsite s3:GetAccelerateConfiguration s3:PutAccelerateConfiguration s3:GetBucketAbac s3:PutBucketAbac
		s3:GetAnalyticsConfiguration s3:PutAnalyticsConfiguration s3:GetIntelligentTieringConfiguration s3:PutIntelligentTieringConfiguration
		s3:GetInventoryConfiguration s3:PutInventoryConfiguration s3:GetMetricsConfiguration s3:PutMetricsConfiguration
		s3:CreateBucketMetadataTableConfiguration s3:GetBucketMetadataTableConfiguration s3:DeleteBucketMetadataTableConfiguration
		s3:CreateBucketMetadataConfiguration s3:GetBucketMetadataConfiguration s3:DeleteBucketMetadataConfiguration
		s3:UpdateBucketMetadataInventoryTableConfiguration s3:UpdateBucketMetadataJournalTableConfiguration s3express:CreateSession s3:CreateBucket
		s3:DeleteBucket`
	onObjectActions = `s3:PutObject s3:AbortMultipartUpload s3:ListMultipartUploadParts s3:GetObjectAcl s3:GetObjectVersionAcl s3:PutObjectAcl
		s3:PutObjectVersionAcl s3:GetObjectAttributes s3:GetObjectVersionAttributes s3:GetObjectLegalHold s3:PutObjectLegalHold s3:GetObjectRetention
		s3:PutObjectRetention s3:GetObjectTagging s3:GetObjectVersionTagging s3:PutObjectTagging s3:PutObjectVersionTagging s3:DeleteObjectTagging
		s3:DeleteObjectVersionTagging s3:GetObjectTorrent s3:GetObjectVersionTorrent s3:RestoreObject s3:GetObject s3:GetObjectVersion
		s3:UpdateObjectEncryption s3:DeleteObject s3:DeleteObjectVersion s3:BypassGovernanceRetention s3:ReplicateObject s3:ReplicateDelete
		s3:ReplicateTags s3:GetObjectVersionForReplication s3:ObjectOwnerOverrideToBucketOwner`
)

// LevelOf tells what an action is about, in any case of letters; 0: no policy can name it.
func LevelOf(action string) Level { return actions[strings.ToLower(action)] }

// actionKinds tells at which levels a pattern of actions applies; empty: it matches no action at all.
func actionKinds(pattern string) map[Level]bool {
	kinds := map[Level]bool{}
	if l, ok := actions[pattern]; ok {
		kinds[l] = true
		return kinds
	}
	if !strings.ContainsAny(pattern, "*?") || pattern != "*" && !strings.HasPrefix(pattern, "s3:") {
		return kinds
	}
	for a, l := range actions {
		if match(pattern, a) {
			kinds[l] = true
		}
	}
	return kinds
}
