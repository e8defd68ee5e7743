package s3api

// Operations, in the order of the table.
const (
	opUnknown Op = iota
	OpListBuckets
	OpCreateMultipartUpload
	OpCompleteMultipartUpload
	OpUploadPartCopy
	OpUploadPart
	OpAbortMultipartUpload
	OpListParts
	OpListMultipartUploads
	OpGetObjectAcl
	OpPutObjectAcl
	OpGetObjectAttributes
	OpGetObjectLegalHold
	OpPutObjectLegalHold
	OpGetObjectRetention
	OpPutObjectRetention
	OpGetObjectTagging
	OpPutObjectTagging
	OpDeleteObjectTagging
	OpGetObjectTorrent
	OpRestoreObject
	OpSelectObjectContent
	OpRenameObject
	OpUpdateObjectEncryption
	OpGetObject
	OpHeadObject
	OpCopyObject
	OpPutObject
	OpDeleteObject
	OpDeleteObjects
	OpPostObject
	OpListObjectVersions
	OpListObjectsV2
	OpGetBucketLocation
	OpGetBucketVersioning
	OpPutBucketVersioning
	OpGetObjectLockConfiguration
	OpPutObjectLockConfiguration
	OpGetBucketAcl
	OpPutBucketAcl
	OpGetBucketTagging
	OpPutBucketTagging
	OpDeleteBucketTagging
	OpGetBucketPolicy
	OpPutBucketPolicy
	OpDeleteBucketPolicy
	OpGetBucketPolicyStatus
	OpGetBucketCors
	OpPutBucketCors
	OpDeleteBucketCors
	OpGetBucketLifecycleConfiguration
	OpPutBucketLifecycleConfiguration
	OpDeleteBucketLifecycle
	OpGetBucketEncryption
	OpPutBucketEncryption
	OpDeleteBucketEncryption
	OpGetBucketOwnershipControls
	OpPutBucketOwnershipControls
	OpDeleteBucketOwnershipControls
	OpGetPublicAccessBlock
	OpPutPublicAccessBlock
	OpDeletePublicAccessBlock
	OpGetBucketRequestPayment
	OpPutBucketRequestPayment
	OpGetBucketLogging
	OpPutBucketLogging
	OpGetBucketNotificationConfiguration
	OpPutBucketNotificationConfiguration
	OpGetBucketReplication
	OpPutBucketReplication
	OpDeleteBucketReplication
	OpGetBucketWebsite
	OpPutBucketWebsite
	OpDeleteBucketWebsite
	OpGetBucketAccelerateConfiguration
	OpPutBucketAccelerateConfiguration
	OpGetBucketAbac
	OpPutBucketAbac
	OpGetBucketAnalyticsConfiguration
	OpListBucketAnalyticsConfigurations
	OpPutBucketAnalyticsConfiguration
	OpDeleteBucketAnalyticsConfiguration
	OpGetBucketIntelligentTieringConfiguration
	OpListBucketIntelligentTieringConfigurations
	OpPutBucketIntelligentTieringConfiguration
	OpDeleteBucketIntelligentTieringConfiguration
	OpGetBucketInventoryConfiguration
	OpListBucketInventoryConfigurations
	OpPutBucketInventoryConfiguration
	OpDeleteBucketInventoryConfiguration
	OpGetBucketMetricsConfiguration
	OpListBucketMetricsConfigurations
	OpPutBucketMetricsConfiguration
	OpDeleteBucketMetricsConfiguration
	OpCreateBucketMetadataTableConfiguration
	OpGetBucketMetadataTableConfiguration
	OpDeleteBucketMetadataTableConfiguration
	OpCreateBucketMetadataConfiguration
	OpGetBucketMetadataConfiguration
	OpDeleteBucketMetadataConfiguration
	OpUpdateBucketMetadataInventoryTableConfiguration
	OpUpdateBucketMetadataJournalTableConfiguration
	OpCreateSession
	OpListObjects
	OpHeadBucket
	OpCreateBucket
	OpDeleteBucket
	OpPreflight // the CORS preflight: OPTIONS
	opCount
)

// routes is the S3 API: the first line that matches is the operation. A line without a sub-resource matches only requests
// without one, so that "DELETE /bucket?acl" never deletes a bucket.
var routes = []route{
	// Service.
	{"GET", onService, "", always, OpListBuckets},
	// Multipart uploads.
	{"POST", onKey, "uploads", always, OpCreateMultipartUpload},
	{"POST", onKey, "uploadId", always, OpCompleteMultipartUpload},
	{"PUT", onKey, "uploadId", copySource, OpUploadPartCopy},
	{"PUT", onKey, "uploadId", always, OpUploadPart},
	{"DELETE", onKey, "uploadId", always, OpAbortMultipartUpload},
	{"GET", onKey, "uploadId", always, OpListParts},
	{"GET", onBucket, "uploads", always, OpListMultipartUploads},
	// Objects: sub-resources.
	{"GET", onKey, "acl", always, OpGetObjectAcl},
	{"PUT", onKey, "acl", always, OpPutObjectAcl},
	{"GET", onKey, "attributes", always, OpGetObjectAttributes},
	{"GET", onKey, "legal-hold", always, OpGetObjectLegalHold},
	{"PUT", onKey, "legal-hold", always, OpPutObjectLegalHold},
	{"GET", onKey, "retention", always, OpGetObjectRetention},
	{"PUT", onKey, "retention", always, OpPutObjectRetention},
	{"GET", onKey, "tagging", always, OpGetObjectTagging},
	{"PUT", onKey, "tagging", always, OpPutObjectTagging},
	{"DELETE", onKey, "tagging", always, OpDeleteObjectTagging},
	{"GET", onKey, "torrent", always, OpGetObjectTorrent},
	{"POST", onKey, "restore", always, OpRestoreObject},
	{"POST", onKey, "select", always, OpSelectObjectContent},
	{"PUT", onKey, "renameObject", always, OpRenameObject},
	{"PUT", onKey, "encryption", always, OpUpdateObjectEncryption},
	// Objects.
	{"GET", onKey, "", always, OpGetObject},
	{"HEAD", onKey, "", always, OpHeadObject},
	{"PUT", onKey, "", copySource, OpCopyObject},
	{"PUT", onKey, "", always, OpPutObject},
	{"DELETE", onKey, "", always, OpDeleteObject},
	{"POST", onBucket, "delete", always, OpDeleteObjects},
	{"POST", onBucket, "", formBody, OpPostObject},
	// Listings.
	{"GET", onBucket, "versions", always, OpListObjectVersions},
	{"GET", onBucket, "", listV2, OpListObjectsV2},
	// Buckets: settings.
	{"GET", onBucket, "location", always, OpGetBucketLocation},
	{"GET", onBucket, "versioning", always, OpGetBucketVersioning},
	{"PUT", onBucket, "versioning", always, OpPutBucketVersioning},
	{"GET", onBucket, "object-lock", always, OpGetObjectLockConfiguration},
	{"PUT", onBucket, "object-lock", always, OpPutObjectLockConfiguration},
	{"GET", onBucket, "acl", always, OpGetBucketAcl},
	{"PUT", onBucket, "acl", always, OpPutBucketAcl},
	{"GET", onBucket, "tagging", always, OpGetBucketTagging},
	{"PUT", onBucket, "tagging", always, OpPutBucketTagging},
	{"DELETE", onBucket, "tagging", always, OpDeleteBucketTagging},
	{"GET", onBucket, "policy", always, OpGetBucketPolicy},
	{"PUT", onBucket, "policy", always, OpPutBucketPolicy},
	{"DELETE", onBucket, "policy", always, OpDeleteBucketPolicy},
	{"GET", onBucket, "policyStatus", always, OpGetBucketPolicyStatus},
	{"GET", onBucket, "cors", always, OpGetBucketCors},
	{"PUT", onBucket, "cors", always, OpPutBucketCors},
	{"DELETE", onBucket, "cors", always, OpDeleteBucketCors},
	{"GET", onBucket, "lifecycle", always, OpGetBucketLifecycleConfiguration},
	{"PUT", onBucket, "lifecycle", always, OpPutBucketLifecycleConfiguration},
	{"DELETE", onBucket, "lifecycle", always, OpDeleteBucketLifecycle},
	{"GET", onBucket, "encryption", always, OpGetBucketEncryption},
	{"PUT", onBucket, "encryption", always, OpPutBucketEncryption},
	{"DELETE", onBucket, "encryption", always, OpDeleteBucketEncryption},
	{"GET", onBucket, "ownershipControls", always, OpGetBucketOwnershipControls},
	{"PUT", onBucket, "ownershipControls", always, OpPutBucketOwnershipControls},
	{"DELETE", onBucket, "ownershipControls", always, OpDeleteBucketOwnershipControls},
	{"GET", onBucket, "publicAccessBlock", always, OpGetPublicAccessBlock},
	{"PUT", onBucket, "publicAccessBlock", always, OpPutPublicAccessBlock},
	{"DELETE", onBucket, "publicAccessBlock", always, OpDeletePublicAccessBlock},
	{"GET", onBucket, "requestPayment", always, OpGetBucketRequestPayment},
	{"PUT", onBucket, "requestPayment", always, OpPutBucketRequestPayment},
	{"GET", onBucket, "logging", always, OpGetBucketLogging},
	{"PUT", onBucket, "logging", always, OpPutBucketLogging},
	{"GET", onBucket, "notification", always, OpGetBucketNotificationConfiguration},
	{"PUT", onBucket, "notification", always, OpPutBucketNotificationConfiguration},
	{"GET", onBucket, "replication", always, OpGetBucketReplication},
	{"PUT", onBucket, "replication", always, OpPutBucketReplication},
	{"DELETE", onBucket, "replication", always, OpDeleteBucketReplication},
	{"GET", onBucket, "website", always, OpGetBucketWebsite},
	{"PUT", onBucket, "website", always, OpPutBucketWebsite},
	{"DELETE", onBucket, "website", always, OpDeleteBucketWebsite},
	{"GET", onBucket, "accelerate", always, OpGetBucketAccelerateConfiguration},
	{"PUT", onBucket, "accelerate", always, OpPutBucketAccelerateConfiguration},
	{"GET", onBucket, "abac", always, OpGetBucketAbac},
	{"PUT", onBucket, "abac", always, OpPutBucketAbac},
	{"GET", onBucket, "analytics", withID, OpGetBucketAnalyticsConfiguration},
	{"GET", onBucket, "analytics", always, OpListBucketAnalyticsConfigurations},
	{"PUT", onBucket, "analytics", always, OpPutBucketAnalyticsConfiguration},
	{"DELETE", onBucket, "analytics", always, OpDeleteBucketAnalyticsConfiguration},
	{"GET", onBucket, "intelligent-tiering", withID, OpGetBucketIntelligentTieringConfiguration},
	{"GET", onBucket, "intelligent-tiering", always, OpListBucketIntelligentTieringConfigurations},
	{"PUT", onBucket, "intelligent-tiering", always, OpPutBucketIntelligentTieringConfiguration},
	{"DELETE", onBucket, "intelligent-tiering", always, OpDeleteBucketIntelligentTieringConfiguration},
	{"GET", onBucket, "inventory", withID, OpGetBucketInventoryConfiguration},
	{"GET", onBucket, "inventory", always, OpListBucketInventoryConfigurations},
	{"PUT", onBucket, "inventory", always, OpPutBucketInventoryConfiguration},
	{"DELETE", onBucket, "inventory", always, OpDeleteBucketInventoryConfiguration},
	{"GET", onBucket, "metrics", withID, OpGetBucketMetricsConfiguration},
	{"GET", onBucket, "metrics", always, OpListBucketMetricsConfigurations},
	{"PUT", onBucket, "metrics", always, OpPutBucketMetricsConfiguration},
	{"DELETE", onBucket, "metrics", always, OpDeleteBucketMetricsConfiguration},
	{"POST", onBucket, "metadataTable", always, OpCreateBucketMetadataTableConfiguration},
	{"GET", onBucket, "metadataTable", always, OpGetBucketMetadataTableConfiguration},
	{"DELETE", onBucket, "metadataTable", always, OpDeleteBucketMetadataTableConfiguration},
	{"POST", onBucket, "metadataConfiguration", always, OpCreateBucketMetadataConfiguration},
	{"GET", onBucket, "metadataConfiguration", always, OpGetBucketMetadataConfiguration},
	{"DELETE", onBucket, "metadataConfiguration", always, OpDeleteBucketMetadataConfiguration},
	{"PUT", onBucket, "metadataInventoryTable", always, OpUpdateBucketMetadataInventoryTableConfiguration},
	{"PUT", onBucket, "metadataJournalTable", always, OpUpdateBucketMetadataJournalTableConfiguration},
	{"GET", onBucket, "session", always, OpCreateSession},
	// Buckets.
	{"GET", onBucket, "", always, OpListObjects},
	{"HEAD", onBucket, "", always, OpHeadBucket},
	{"PUT", onBucket, "", always, OpCreateBucket},
	{"DELETE", onBucket, "", always, OpDeleteBucket},
}

// opTable says of each operation whether it is carried out, whether it may change the store, and the action that a policy
// must allow: of the key, and of a version where versionId is given.
var opTable = [opCount]opInfo{
	opUnknown: {name: "Unknown"},
	// Service.
	OpListBuckets: {"ListBuckets", does, false, "s3:ListAllMyBuckets", ""},
	// Multipart uploads.
	OpCreateMultipartUpload:   {"CreateMultipartUpload", does, true, "s3:PutObject", ""},
	OpCompleteMultipartUpload: {"CompleteMultipartUpload", does, true, "s3:PutObject", ""},
	OpUploadPartCopy:          {"UploadPartCopy", does, true, "s3:PutObject", ""},
	OpUploadPart:              {"UploadPart", does, true, "s3:PutObject", ""},
	OpAbortMultipartUpload:    {"AbortMultipartUpload", does, true, "s3:AbortMultipartUpload", ""},
	OpListParts:               {"ListParts", does, false, "s3:ListMultipartUploadParts", ""},
	OpListMultipartUploads:    {"ListMultipartUploads", does, false, "s3:ListBucketMultipartUploads", ""},
	// Objects: sub-resources.
	OpGetObjectAcl:           {"GetObjectAcl", does, false, "s3:GetObjectAcl", "s3:GetObjectVersionAcl"},
	OpPutObjectAcl:           {"PutObjectAcl", does, true, "s3:PutObjectAcl", "s3:PutObjectVersionAcl"},
	OpGetObjectAttributes:    {"GetObjectAttributes", does, false, "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"},
	OpGetObjectLegalHold:     {"GetObjectLegalHold", does, false, "s3:GetObjectLegalHold", ""},
	OpPutObjectLegalHold:     {"PutObjectLegalHold", does, true, "s3:PutObjectLegalHold", ""},
	OpGetObjectRetention:     {"GetObjectRetention", does, false, "s3:GetObjectRetention", ""},
	OpPutObjectRetention:     {"PutObjectRetention", does, true, "s3:PutObjectRetention", ""},
	OpGetObjectTagging:       {"GetObjectTagging", does, false, "s3:GetObjectTagging", "s3:GetObjectVersionTagging"},
	OpPutObjectTagging:       {"PutObjectTagging", does, true, "s3:PutObjectTagging", "s3:PutObjectVersionTagging"},
	OpDeleteObjectTagging:    {"DeleteObjectTagging", does, true, "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"},
	OpGetObjectTorrent:       {"GetObjectTorrent", refuses, false, "s3:GetObjectTorrent", "s3:GetObjectVersionTorrent"},
	OpRestoreObject:          {"RestoreObject", refuses, true, "s3:RestoreObject", ""},
	OpSelectObjectContent:    {"SelectObjectContent", refuses, false, "s3:GetObject", "s3:GetObjectVersion"},
	OpRenameObject:           {"RenameObject", refuses, true, "s3:PutObject", ""},
	OpUpdateObjectEncryption: {"UpdateObjectEncryption", refuses, true, "s3:UpdateObjectEncryption", ""},
	// Objects.
	OpGetObject:     {"GetObject", does, false, "s3:GetObject", "s3:GetObjectVersion"},
	OpHeadObject:    {"HeadObject", does, false, "s3:GetObject", "s3:GetObjectVersion"},
	OpCopyObject:    {"CopyObject", does, true, "s3:PutObject", ""},
	OpPutObject:     {"PutObject", does, true, "s3:PutObject", ""},
	OpDeleteObject:  {"DeleteObject", does, true, "s3:DeleteObject", "s3:DeleteObjectVersion"},
	OpDeleteObjects: {"DeleteObjects", does, true, "s3:DeleteObject", "s3:DeleteObjectVersion"},
	OpPostObject:    {"PostObject", does, true, "s3:PutObject", ""},
	// Listings.
	OpListObjectVersions: {"ListObjectVersions", does, false, "s3:ListBucketVersions", ""},
	OpListObjectsV2:      {"ListObjectsV2", does, false, "s3:ListBucket", ""},
	// Buckets: settings.
	OpGetBucketLocation:                               {"GetBucketLocation", does, false, "s3:GetBucketLocation", ""},
	OpGetBucketVersioning:                             {"GetBucketVersioning", does, false, "s3:GetBucketVersioning", ""},
	OpPutBucketVersioning:                             {"PutBucketVersioning", does, true, "s3:PutBucketVersioning", ""},
	OpGetObjectLockConfiguration:                      {"GetObjectLockConfiguration", does, false, "s3:GetBucketObjectLockConfiguration", ""},
	OpPutObjectLockConfiguration:                      {"PutObjectLockConfiguration", does, true, "s3:PutBucketObjectLockConfiguration", ""},
	OpGetBucketAcl:                                    {"GetBucketAcl", does, false, "s3:GetBucketAcl", ""},
	OpPutBucketAcl:                                    {"PutBucketAcl", does, true, "s3:PutBucketAcl", ""},
	OpGetBucketTagging:                                {"GetBucketTagging", does, false, "s3:GetBucketTagging", ""},
	OpPutBucketTagging:                                {"PutBucketTagging", does, true, "s3:PutBucketTagging", ""},
	OpDeleteBucketTagging:                             {"DeleteBucketTagging", does, true, "s3:PutBucketTagging", ""},
	OpGetBucketPolicy:                                 {"GetBucketPolicy", does, false, "s3:GetBucketPolicy", ""},
	OpPutBucketPolicy:                                 {"PutBucketPolicy", does, true, "s3:PutBucketPolicy", ""},
	OpDeleteBucketPolicy:                              {"DeleteBucketPolicy", does, true, "s3:DeleteBucketPolicy", ""},
	OpGetBucketPolicyStatus:                           {"GetBucketPolicyStatus", does, false, "s3:GetBucketPolicyStatus", ""},
	OpGetBucketCors:                                   {"GetBucketCors", does, false, "s3:GetBucketCORS", ""},
	OpPutBucketCors:                                   {"PutBucketCors", does, true, "s3:PutBucketCORS", ""},
	OpDeleteBucketCors:                                {"DeleteBucketCors", does, true, "s3:PutBucketCORS", ""},
	OpGetBucketLifecycleConfiguration:                 {"GetBucketLifecycleConfiguration", does, false, "s3:GetLifecycleConfiguration", ""},
	OpPutBucketLifecycleConfiguration:                 {"PutBucketLifecycleConfiguration", does, true, "s3:PutLifecycleConfiguration", ""},
	OpDeleteBucketLifecycle:                           {"DeleteBucketLifecycle", does, true, "s3:PutLifecycleConfiguration", ""},
	OpGetBucketEncryption:                             {"GetBucketEncryption", does, false, "s3:GetEncryptionConfiguration", ""},
	OpPutBucketEncryption:                             {"PutBucketEncryption", does, true, "s3:PutEncryptionConfiguration", ""},
	OpDeleteBucketEncryption:                          {"DeleteBucketEncryption", does, true, "s3:PutEncryptionConfiguration", ""},
	OpGetBucketOwnershipControls:                      {"GetBucketOwnershipControls", does, false, "s3:GetBucketOwnershipControls", ""},
	OpPutBucketOwnershipControls:                      {"PutBucketOwnershipControls", does, true, "s3:PutBucketOwnershipControls", ""},
	OpDeleteBucketOwnershipControls:                   {"DeleteBucketOwnershipControls", does, true, "s3:PutBucketOwnershipControls", ""},
	OpGetPublicAccessBlock:                            {"GetPublicAccessBlock", does, false, "s3:GetBucketPublicAccessBlock", ""},
	OpPutPublicAccessBlock:                            {"PutPublicAccessBlock", does, true, "s3:PutBucketPublicAccessBlock", ""},
	OpDeletePublicAccessBlock:                         {"DeletePublicAccessBlock", does, true, "s3:PutBucketPublicAccessBlock", ""},
	OpGetBucketRequestPayment:                         {"GetBucketRequestPayment", does, false, "s3:GetBucketRequestPayment", ""},
	OpPutBucketRequestPayment:                         {"PutBucketRequestPayment", refuses, true, "s3:PutBucketRequestPayment", ""},
	OpGetBucketLogging:                                {"GetBucketLogging", refuses, false, "s3:GetBucketLogging", ""},
	OpPutBucketLogging:                                {"PutBucketLogging", refuses, true, "s3:PutBucketLogging", ""},
	OpGetBucketNotificationConfiguration:              {"GetBucketNotificationConfiguration", refuses, false, "s3:GetBucketNotification", ""},
	OpPutBucketNotificationConfiguration:              {"PutBucketNotificationConfiguration", refuses, true, "s3:PutBucketNotification", ""},
	OpGetBucketReplication:                            {"GetBucketReplication", refuses, false, "s3:GetReplicationConfiguration", ""},
	OpPutBucketReplication:                            {"PutBucketReplication", refuses, true, "s3:PutReplicationConfiguration", ""},
	OpDeleteBucketReplication:                         {"DeleteBucketReplication", refuses, true, "s3:PutReplicationConfiguration", ""},
	OpGetBucketWebsite:                                {"GetBucketWebsite", refuses, false, "s3:GetBucketWebsite", ""},
	OpPutBucketWebsite:                                {"PutBucketWebsite", refuses, true, "s3:PutBucketWebsite", ""},
	OpDeleteBucketWebsite:                             {"DeleteBucketWebsite", refuses, true, "s3:DeleteBucketWebsite", ""},
	OpGetBucketAccelerateConfiguration:                {"GetBucketAccelerateConfiguration", refuses, false, "s3:GetAccelerateConfiguration", ""},
	OpPutBucketAccelerateConfiguration:                {"PutBucketAccelerateConfiguration", refuses, true, "s3:PutAccelerateConfiguration", ""},
	OpGetBucketAbac:                                   {"GetBucketAbac", refuses, false, "s3:GetBucketAbac", ""},
	OpPutBucketAbac:                                   {"PutBucketAbac", refuses, true, "s3:PutBucketAbac", ""},
	OpGetBucketAnalyticsConfiguration:                 {"GetBucketAnalyticsConfiguration", refuses, false, "s3:GetAnalyticsConfiguration", ""},
	OpListBucketAnalyticsConfigurations:               {"ListBucketAnalyticsConfigurations", refuses, false, "s3:GetAnalyticsConfiguration", ""},
	OpPutBucketAnalyticsConfiguration:                 {"PutBucketAnalyticsConfiguration", refuses, true, "s3:PutAnalyticsConfiguration", ""},
	OpDeleteBucketAnalyticsConfiguration:              {"DeleteBucketAnalyticsConfiguration", refuses, true, "s3:PutAnalyticsConfiguration", ""},
	OpGetBucketIntelligentTieringConfiguration:        {"GetBucketIntelligentTieringConfiguration", refuses, false, "s3:GetIntelligentTieringConfiguration", ""},
	OpListBucketIntelligentTieringConfigurations:      {"ListBucketIntelligentTieringConfigurations", refuses, false, "s3:GetIntelligentTieringConfiguration", ""},
	OpPutBucketIntelligentTieringConfiguration:        {"PutBucketIntelligentTieringConfiguration", refuses, true, "s3:PutIntelligentTieringConfiguration", ""},
	OpDeleteBucketIntelligentTieringConfiguration:     {"DeleteBucketIntelligentTieringConfiguration", refuses, true, "s3:PutIntelligentTieringConfiguration", ""},
	OpGetBucketInventoryConfiguration:                 {"GetBucketInventoryConfiguration", refuses, false, "s3:GetInventoryConfiguration", ""},
	OpListBucketInventoryConfigurations:               {"ListBucketInventoryConfigurations", refuses, false, "s3:GetInventoryConfiguration", ""},
	OpPutBucketInventoryConfiguration:                 {"PutBucketInventoryConfiguration", refuses, true, "s3:PutInventoryConfiguration", ""},
	OpDeleteBucketInventoryConfiguration:              {"DeleteBucketInventoryConfiguration", refuses, true, "s3:PutInventoryConfiguration", ""},
	OpGetBucketMetricsConfiguration:                   {"GetBucketMetricsConfiguration", refuses, false, "s3:GetMetricsConfiguration", ""},
	OpListBucketMetricsConfigurations:                 {"ListBucketMetricsConfigurations", refuses, false, "s3:GetMetricsConfiguration", ""},
	OpPutBucketMetricsConfiguration:                   {"PutBucketMetricsConfiguration", refuses, true, "s3:PutMetricsConfiguration", ""},
	OpDeleteBucketMetricsConfiguration:                {"DeleteBucketMetricsConfiguration", refuses, true, "s3:PutMetricsConfiguration", ""},
	OpCreateBucketMetadataTableConfiguration:          {"CreateBucketMetadataTableConfiguration", refuses, true, "s3:CreateBucketMetadataTableConfiguration", ""},
	OpGetBucketMetadataTableConfiguration:             {"GetBucketMetadataTableConfiguration", refuses, false, "s3:GetBucketMetadataTableConfiguration", ""},
	OpDeleteBucketMetadataTableConfiguration:          {"DeleteBucketMetadataTableConfiguration", refuses, true, "s3:DeleteBucketMetadataTableConfiguration", ""},
	OpCreateBucketMetadataConfiguration:               {"CreateBucketMetadataConfiguration", refuses, true, "s3:CreateBucketMetadataConfiguration", ""},
	OpGetBucketMetadataConfiguration:                  {"GetBucketMetadataConfiguration", refuses, false, "s3:GetBucketMetadataConfiguration", ""},
	OpDeleteBucketMetadataConfiguration:               {"DeleteBucketMetadataConfiguration", refuses, true, "s3:DeleteBucketMetadataConfiguration", ""},
	OpUpdateBucketMetadataInventoryTableConfiguration: {"UpdateBucketMetadataInventoryTableConfiguration", refuses, true, "s3:UpdateBucketMetadataInventoryTableConfiguration", ""},
	OpUpdateBucketMetadataJournalTableConfiguration:   {"UpdateBucketMetadataJournalTableConfiguration", refuses, true, "s3:UpdateBucketMetadataJournalTableConfiguration", ""},
	OpCreateSession:                                   {"CreateSession", refuses, false, "s3express:CreateSession", ""},
	// Buckets.
	OpListObjects:  {"ListObjects", does, false, "s3:ListBucket", ""},
	OpHeadBucket:   {"HeadBucket", does, false, "s3:ListBucket", ""},
	OpCreateBucket: {"CreateBucket", does, true, "s3:CreateBucket", ""},
	OpDeleteBucket: {"DeleteBucket", does, true, "s3:DeleteBucket", ""},
	OpPreflight:    {"OPTIONS", does, false, "", ""},
}
