package s3api

import (
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
)

// The other replies. Each Append function appends one whole document.

// AppendInitiateUpload appends the reply of CreateMultipartUpload.
func AppendInitiateUpload(b []byte, bucket, key, uploadID string) []byte {
	w := s3xml.Writer{B: b}
	w.Root("InitiateMultipartUploadResult")
	w.Str("Bucket", bucket)
	w.Str("Key", key)
	w.Str("UploadId", uploadID)
	w.Close("InitiateMultipartUploadResult")
	return w.B
}

// Completed is the reply of CompleteMultipartUpload.
type Completed struct {
	Location, Bucket, Key, ETag string
	Algorithm                   Algorithm
	Checksum, ChecksumType      string
}

// AppendXML appends the document.
func (c *Completed) AppendXML(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("CompleteMultipartUploadResult")
	w.Str("Location", c.Location)
	w.Str("Bucket", c.Bucket)
	w.Str("Key", c.Key)
	writeETag(&w, c.ETag)
	writeChecksum(&w, c.Algorithm, c.Checksum)
	w.Opt("ChecksumType", c.ChecksumType)
	w.Close("CompleteMultipartUploadResult")
	return w.B
}

// Copied is the reply of CopyObject and of UploadPartCopy.
type Copied struct {
	ETag         string
	LastModified time.Time
	Algorithm    Algorithm
	Checksum     string
	ChecksumType string // of CopyObject
}

// AppendXML appends the document; part tells UploadPartCopy from CopyObject.
func (c *Copied) AppendXML(b []byte, part bool) []byte {
	name := "CopyObjectResult"
	if part {
		name = "CopyPartResult"
	}
	w := s3xml.Writer{B: b}
	w.Root(name)
	writeETag(&w, c.ETag)
	w.Time("LastModified", c.LastModified)
	writeChecksum(&w, c.Algorithm, c.Checksum)
	w.Opt("ChecksumType", c.ChecksumType)
	w.Close(name)
	return w.B
}

// DeletedObject is the outcome for one key of DeleteObjects.
type DeletedObject struct {
	Key, VersionID        string
	DeleteMarker          bool         // a marker was made, or the version that went was one
	DeleteMarkerVersionID string       // that marker's version
	Err                   *s3err.Error // nil: deleted
}

// AppendDeleteResult appends the reply of DeleteObjects; quiet leaves the successes out.
func AppendDeleteResult(b []byte, outcomes []DeletedObject, quiet bool) []byte {
	w := s3xml.Writer{B: b}
	w.Root("DeleteResult")
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil {
			w.Open("Error")
			w.Str("Key", o.Key)
			w.Opt("VersionId", o.VersionID)
			w.Str("Code", o.Err.Code)
			w.Str("Message", o.Err.Message)
			w.Close("Error")
			continue
		}
		if quiet {
			continue
		}
		w.Open("Deleted")
		w.Str("Key", o.Key)
		w.Opt("VersionId", o.VersionID)
		if o.DeleteMarker {
			w.Bool("DeleteMarker", true)
			w.Opt("DeleteMarkerVersionId", o.DeleteMarkerVersionID)
		}
		w.Close("Deleted")
	}
	w.Close("DeleteResult")
	return w.B
}

// AppendLocation appends the reply of GetBucketLocation; us-east-1 is written as nothing.
func AppendLocation(b []byte, region string) []byte {
	w := s3xml.Writer{B: b}
	w.Root("LocationConstraint")
	if region != "us-east-1" {
		w.B = s3xml.AppendText(w.B, region)
	}
	w.Close("LocationConstraint")
	return w.B
}

// AppendVersioning appends a VersioningConfiguration; status is "" for a bucket that never had versions.
func AppendVersioning(b []byte, status string) []byte {
	w := s3xml.Writer{B: b}
	w.Root("VersioningConfiguration")
	w.Opt("Status", status)
	w.Close("VersioningConfiguration")
	return w.B
}

// AppendACL appends the one ACL there is: the owner's full control.
func AppendACL(b []byte, o Owner) []byte {
	w := s3xml.Writer{B: b}
	w.Root("AccessControlPolicy")
	writeOwner(&w, "Owner", &o)
	w.Open("AccessControlList")
	w.Open("Grant")
	w.B = append(w.B, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	w.Str("ID", o.ID)
	w.Opt("DisplayName", o.DisplayName)
	w.Close("Grantee")
	w.Str("Permission", "FULL_CONTROL")
	w.Close("Grant")
	w.Close("AccessControlList")
	w.Close("AccessControlPolicy")
	return w.B
}

// AppendEncryption appends what GetBucketEncryption always says.
func AppendEncryption(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("ServerSideEncryptionConfiguration")
	w.Open("Rule")
	w.Open("ApplyServerSideEncryptionByDefault")
	w.Str("SSEAlgorithm", "AES256")
	w.Close("ApplyServerSideEncryptionByDefault")
	w.Bool("BucketKeyEnabled", false)
	w.Close("Rule")
	w.Close("ServerSideEncryptionConfiguration")
	return w.B
}

// AppendOwnership appends OwnershipControls.
func AppendOwnership(b []byte, ownership string) []byte {
	w := s3xml.Writer{B: b}
	w.Root("OwnershipControls")
	w.Open("Rule")
	w.Str("ObjectOwnership", ownership)
	w.Close("Rule")
	w.Close("OwnershipControls")
	return w.B
}

// AppendXML appends a PublicAccessBlockConfiguration.
func (p PublicAccessBlock) AppendXML(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("PublicAccessBlockConfiguration")
	w.Bool("BlockPublicAcls", p.BlockPublicAcls)
	w.Bool("IgnorePublicAcls", p.IgnorePublicAcls)
	w.Bool("BlockPublicPolicy", p.BlockPublicPolicy)
	w.Bool("RestrictPublicBuckets", p.RestrictPublicBuckets)
	w.Close("PublicAccessBlockConfiguration")
	return w.B
}

// AppendPolicyStatus appends the reply of GetBucketPolicyStatus.
func AppendPolicyStatus(b []byte, public bool) []byte {
	w := s3xml.Writer{B: b}
	w.Root("PolicyStatus")
	w.Bool("IsPublic", public)
	w.Close("PolicyStatus")
	return w.B
}

// AppendRequestPayment appends the reply of GetBucketRequestPayment: the owner pays.
func AppendRequestPayment(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("RequestPaymentConfiguration")
	w.Str("Payer", "BucketOwner")
	w.Close("RequestPaymentConfiguration")
	return w.B
}

// AppendPostResponse appends the reply of a POST upload with success_action_status=201.
func AppendPostResponse(b []byte, location, bucket, key, etag string) []byte {
	w := s3xml.Writer{B: b}
	w.Root("PostResponse")
	w.Str("Location", location)
	w.Str("Bucket", bucket)
	w.Str("Key", key)
	writeETag(&w, etag)
	w.Close("PostResponse")
	return w.B
}

// Attributes is the reply of GetObjectAttributes; what was not asked for is zero and left out.
type Attributes struct {
	ETag           string
	Algorithm      Algorithm
	Checksum       string
	ChecksumType   string
	Parts          *AttributeParts
	StorageClass   string
	ObjectSize     int64
	WithObjectSize bool
}

// AttributeParts is what is told of a multipart object's parts: how many there are and, where they have checksums of their own, each of them.
type AttributeParts struct {
	Listed                              bool // else only Total is told
	Total, Marker, NextMarker, MaxParts int
	IsTruncated                         bool
	Parts                               []PartItem
}

// AppendXML appends the document.
func (a *Attributes) AppendXML(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("GetObjectAttributesResponse")
	w.Opt("ETag", a.ETag) // without quotes, unlike everywhere else
	if a.Checksum != "" {
		w.Open("Checksum")
		writeChecksum(&w, a.Algorithm, a.Checksum)
		w.Opt("ChecksumType", a.ChecksumType)
		w.Close("Checksum")
	}
	if p := a.Parts; p != nil {
		w.Open("ObjectParts")
		w.Int("PartsCount", int64(p.Total)) // the element's name on the wire; SDKs call it TotalPartsCount
		if p.Listed {
			w.Int("PartNumberMarker", int64(p.Marker))
			w.Int("NextPartNumberMarker", int64(p.NextMarker))
			w.Int("MaxParts", int64(p.MaxParts))
			w.Bool("IsTruncated", p.IsTruncated)
		}
		for _, part := range p.Parts {
			w.Open("Part")
			w.Int("PartNumber", int64(part.PartNumber))
			w.Int("Size", part.Size)
			writeChecksum(&w, a.Algorithm, part.Checksum)
			w.Close("Part")
		}
		w.Close("ObjectParts")
	}
	w.Opt("StorageClass", a.StorageClass)
	if a.WithObjectSize {
		w.Int("ObjectSize", a.ObjectSize)
	}
	w.Close("GetObjectAttributesResponse")
	return w.B
}
