package s3api

import "time"

// The other replies. Each Append function appends one whole document.

// AppendInitiateUpload appends the reply of CreateMultipartUpload.
func AppendInitiateUpload(b []byte, bucket, key, uploadID string) []byte {
	w := xw{b}
	w.root("InitiateMultipartUploadResult")
	w.str("Bucket", bucket)
	w.str("Key", key)
	w.str("UploadId", uploadID)
	w.close("InitiateMultipartUploadResult")
	return w.b
}

// Completed is the reply of CompleteMultipartUpload.
type Completed struct {
	Location, Bucket, Key, ETag string
	Algorithm                   Algorithm
	Checksum, ChecksumType      string
}

// AppendXML appends the document.
func (c *Completed) AppendXML(b []byte) []byte {
	w := xw{b}
	w.root("CompleteMultipartUploadResult")
	w.str("Location", c.Location)
	w.str("Bucket", c.Bucket)
	w.str("Key", c.Key)
	w.etag(c.ETag)
	w.checksum(c.Algorithm, c.Checksum)
	w.opt("ChecksumType", c.ChecksumType)
	w.close("CompleteMultipartUploadResult")
	return w.b
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
	w := xw{b}
	w.root(name)
	w.etag(c.ETag)
	w.time("LastModified", c.LastModified)
	w.checksum(c.Algorithm, c.Checksum)
	w.opt("ChecksumType", c.ChecksumType)
	w.close(name)
	return w.b
}

// DeletedObject is the outcome for one key of DeleteObjects.
type DeletedObject struct {
	Key, VersionID        string
	DeleteMarker          bool   // a marker was made, or the version that went was one
	DeleteMarkerVersionID string // that marker's version
	Err                   *Error // nil: deleted
}

// AppendDeleteResult appends the reply of DeleteObjects; quiet leaves the successes out.
func AppendDeleteResult(b []byte, outcomes []DeletedObject, quiet bool) []byte {
	w := xw{b}
	w.root("DeleteResult")
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil {
			w.open("Error")
			w.str("Key", o.Key)
			w.opt("VersionId", o.VersionID)
			w.str("Code", o.Err.Code)
			w.str("Message", o.Err.Message)
			w.close("Error")
			continue
		}
		if quiet {
			continue
		}
		w.open("Deleted")
		w.str("Key", o.Key)
		w.opt("VersionId", o.VersionID)
		if o.DeleteMarker {
			w.bool("DeleteMarker", true)
			w.opt("DeleteMarkerVersionId", o.DeleteMarkerVersionID)
		}
		w.close("Deleted")
	}
	w.close("DeleteResult")
	return w.b
}

// AppendLocation appends the reply of GetBucketLocation; us-east-1 is written as nothing.
func AppendLocation(b []byte, region string) []byte {
	w := xw{b}
	w.root("LocationConstraint")
	if region != "us-east-1" {
		w.b = appendText(w.b, region)
	}
	w.close("LocationConstraint")
	return w.b
}

// AppendVersioning appends a VersioningConfiguration; status is "" for a bucket that never had versions.
func AppendVersioning(b []byte, status string) []byte {
	w := xw{b}
	w.root("VersioningConfiguration")
	w.opt("Status", status)
	w.close("VersioningConfiguration")
	return w.b
}

// AppendACL appends the one ACL there is: the owner's full control.
func AppendACL(b []byte, o Owner) []byte {
	w := xw{b}
	w.root("AccessControlPolicy")
	w.owner("Owner", &o)
	w.open("AccessControlList")
	w.open("Grant")
	w.b = append(w.b, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	w.str("ID", o.ID)
	w.opt("DisplayName", o.DisplayName)
	w.close("Grantee")
	w.str("Permission", "FULL_CONTROL")
	w.close("Grant")
	w.close("AccessControlList")
	w.close("AccessControlPolicy")
	return w.b
}

// AppendEncryption appends what GetBucketEncryption always says.
func AppendEncryption(b []byte) []byte {
	w := xw{b}
	w.root("ServerSideEncryptionConfiguration")
	w.open("Rule")
	w.open("ApplyServerSideEncryptionByDefault")
	w.str("SSEAlgorithm", "AES256")
	w.close("ApplyServerSideEncryptionByDefault")
	w.bool("BucketKeyEnabled", false)
	w.close("Rule")
	w.close("ServerSideEncryptionConfiguration")
	return w.b
}

// AppendOwnership appends OwnershipControls.
func AppendOwnership(b []byte, ownership string) []byte {
	w := xw{b}
	w.root("OwnershipControls")
	w.open("Rule")
	w.str("ObjectOwnership", ownership)
	w.close("Rule")
	w.close("OwnershipControls")
	return w.b
}

// AppendXML appends a PublicAccessBlockConfiguration.
func (p PublicAccessBlock) AppendXML(b []byte) []byte {
	w := xw{b}
	w.root("PublicAccessBlockConfiguration")
	w.bool("BlockPublicAcls", p.BlockPublicAcls)
	w.bool("IgnorePublicAcls", p.IgnorePublicAcls)
	w.bool("BlockPublicPolicy", p.BlockPublicPolicy)
	w.bool("RestrictPublicBuckets", p.RestrictPublicBuckets)
	w.close("PublicAccessBlockConfiguration")
	return w.b
}

// AppendPolicyStatus appends the reply of GetBucketPolicyStatus.
func AppendPolicyStatus(b []byte, public bool) []byte {
	w := xw{b}
	w.root("PolicyStatus")
	w.bool("IsPublic", public)
	w.close("PolicyStatus")
	return w.b
}

// AppendRequestPayment appends the reply of GetBucketRequestPayment: the owner pays.
func AppendRequestPayment(b []byte) []byte {
	w := xw{b}
	w.root("RequestPaymentConfiguration")
	w.str("Payer", "BucketOwner")
	w.close("RequestPaymentConfiguration")
	return w.b
}

// AppendPostResponse appends the reply of a POST upload with success_action_status=201.
func AppendPostResponse(b []byte, location, bucket, key, etag string) []byte {
	w := xw{b}
	w.root("PostResponse")
	w.str("Location", location)
	w.str("Bucket", bucket)
	w.str("Key", key)
	w.etag(etag)
	w.close("PostResponse")
	return w.b
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
	w := xw{b}
	w.root("GetObjectAttributesResponse")
	w.opt("ETag", a.ETag) // without quotes, unlike everywhere else
	if a.Checksum != "" {
		w.open("Checksum")
		w.checksum(a.Algorithm, a.Checksum)
		w.opt("ChecksumType", a.ChecksumType)
		w.close("Checksum")
	}
	if p := a.Parts; p != nil {
		w.open("ObjectParts")
		w.int("PartsCount", int64(p.Total)) // the element's name on the wire; SDKs call it TotalPartsCount
		if p.Listed {
			w.int("PartNumberMarker", int64(p.Marker))
			w.int("NextPartNumberMarker", int64(p.NextMarker))
			w.int("MaxParts", int64(p.MaxParts))
			w.bool("IsTruncated", p.IsTruncated)
		}
		for _, part := range p.Parts {
			w.open("Part")
			w.int("PartNumber", int64(part.PartNumber))
			w.int("Size", part.Size)
			w.checksum(a.Algorithm, part.Checksum)
			w.close("Part")
		}
		w.close("ObjectParts")
	}
	w.opt("StorageClass", a.StorageClass)
	if a.WithObjectSize {
		w.int("ObjectSize", a.ObjectSize)
	}
	w.close("GetObjectAttributesResponse")
	return w.b
}
