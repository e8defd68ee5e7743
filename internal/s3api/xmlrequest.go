package s3api

import (
	"strconv"
	"strings"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// What requests carry in XML. Each Decode takes the whole body, read by readSized, and returns *s3err.Error. Unknown elements are
// ignored, as S3 adds new ones; missing or contradictory ones are not.

// DeleteRequest is the body of DeleteObjects.
type DeleteRequest struct {
	Quiet   bool
	Objects []ObjectToDelete // 1 to 1,000
}

// ObjectToDelete names one object, with the conditions under which it may go.
type ObjectToDelete struct {
	Key              string
	VersionID        string
	ETag             string    // without quotes, "": no condition
	LastModifiedTime time.Time // zero: no condition
	Size             int64     // -1: no condition
}

// DecodeDelete parses the body of DeleteObjects.
func DecodeDelete(b []byte) (*DeleteRequest, error) {
	root, err := s3xml.Parse(b, "Delete")
	if err != nil {
		return nil, err
	}
	d := &DeleteRequest{Quiet: strings.EqualFold(root.Child("Quiet").Word(), "true")}
	for o := range root.Children() {
		if o.Name() != "Object" {
			continue
		}
		if len(d.Objects) == 1000 {
			return nil, s3err.ErrMalformedXML
		}
		obj, err := decodeObjectToDelete(o)
		if err != nil {
			return nil, err
		}
		d.Objects = append(d.Objects, obj)
	}
	if len(d.Objects) == 0 {
		return nil, s3err.ErrMalformedXML
	}
	return d, nil
}

func decodeObjectToDelete(o s3xml.Elem) (ObjectToDelete, error) {
	obj := ObjectToDelete{Size: -1}
	for c := range o.Children() {
		var err error
		switch c.Name() {
		case "Key":
			obj.Key = c.Text()
		case "VersionId":
			obj.VersionID = c.Word()
		case "ETag":
			obj.ETag = conditionTag(c.Word())
		case "Size":
			obj.Size, err = strconv.ParseInt(c.Word(), 10, 64)
		case "LastModifiedTime":
			obj.LastModifiedTime, err = s3xml.ParseTime(c.Word())
		}
		if err != nil {
			return obj, s3err.ErrMalformedXML
		}
	}
	if obj.Key == "" {
		return obj, s3err.ErrMalformedXML
	}
	if len(obj.Key) > wire.MaxKeyBytes {
		return obj, wire.KeyTooLong(len(obj.Key))
	}
	return obj, nil
}

// CompletedPart is one part as the client names it.
type CompletedPart struct {
	PartNumber int
	ETag       string // without quotes
	Algorithm  Algorithm
	Checksum   string // base64, "": none given
}

// DecodeComplete parses the body of CompleteMultipartUpload: 1 to 10,000 parts in ascending order.
func DecodeComplete(b []byte) ([]CompletedPart, error) {
	root, err := s3xml.Parse(b, "CompleteMultipartUpload")
	if err != nil {
		return nil, err
	}
	parts := make([]CompletedPart, 0, min(root.Size()/3, 10000))
	for c := range root.Children() {
		if c.Name() != "Part" {
			continue
		}
		p, err := decodePart(c)
		if err != nil {
			return nil, err
		}
		if len(parts) == 10000 {
			return nil, s3err.ErrMalformedXML
		}
		if len(parts) > 0 && parts[len(parts)-1].PartNumber >= p.PartNumber {
			return nil, s3err.ErrInvalidPartOrder
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, s3err.ErrMalformedXML
	}
	return parts, nil
}

func decodePart(e s3xml.Elem) (CompletedPart, error) {
	var p CompletedPart
	var number string
	for c := range e.Children() {
		switch name := c.Name(); name {
		case "PartNumber":
			number = c.Word()
		case "ETag":
			p.ETag = trimETag(c.Word())
		default:
			alg, ok := strings.CutPrefix(name, "Checksum")
			if a, err := ParseAlgorithm(alg); ok && err == nil {
				if !a.valid(c.Word()) || p.Algorithm != NoChecksum {
					return p, s3err.InvalidArgument("Checksum", c.Word(), "Invalid Base64 or multiple checksums present in request")
				}
				p.Algorithm, p.Checksum = a, c.Word()
			}
		}
	}
	n, err := strconv.Atoi(number)
	if err != nil || p.ETag == "" {
		return p, s3err.ErrMalformedXML
	}
	if n < 1 {
		return p, s3err.InvalidArgument("PartNumber", number, "PartNumber must be >= 1")
	}
	if n > 10000 {
		return p, s3err.InvalidArgument("partNumber", number, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	p.PartNumber = n
	return p, nil
}

// trimETag takes the quotes off an entity tag.
func trimETag(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// CreateBucketConfiguration is the optional body of CreateBucket.
type CreateBucketConfiguration struct {
	LocationConstraint string
	Tags               []tagging.Tag
}

// DecodeCreateBucket parses it; an empty body is the zero value.
func DecodeCreateBucket(b []byte) (CreateBucketConfiguration, error) {
	var c CreateBucketConfiguration
	if len(b) == 0 {
		return c, nil
	}
	root, err := s3xml.Parse(b, "CreateBucketConfiguration")
	if err != nil {
		return c, err
	}
	c.LocationConstraint = root.Child("LocationConstraint").Word()
	if tags := root.Child("Tags"); tags.Exists() {
		c.Tags, err = tagging.DecodeSet(tags, tagging.MaxOfBucket)
	}
	return c, err
}

// DecodeVersioning parses a VersioningConfiguration: Enabled or Suspended.
func DecodeVersioning(b []byte) (string, error) {
	root, err := s3xml.Parse(b, "VersioningConfiguration")
	if err != nil {
		return "", err
	}
	if strings.EqualFold(root.Child("MfaDelete").Word(), "Enabled") {
		return "", s3err.ErrNotImplemented.Msg("MFA delete is not supported.")
	}
	switch s := root.Child("Status").Word(); s {
	case "Enabled", "Suspended":
		return s, nil
	}
	return "", s3err.ErrMalformedXML
}

// DecodeEncryption parses a ServerSideEncryptionConfiguration. Stele encrypts everything; AES256 is what it can promise.
func DecodeEncryption(b []byte) error {
	root, err := s3xml.Parse(b, "ServerSideEncryptionConfiguration")
	if err != nil {
		return err
	}
	rule := root.Child("Rule")
	by := rule.Child("ApplyServerSideEncryptionByDefault")
	switch {
	case !rule.Exists():
		return s3err.ErrMalformedXML
	case by.Exists() && by.Child("SSEAlgorithm").Word() != "AES256":
		return s3err.ErrNotImplemented.Msg("Only AES256 is supported: Stele holds the keys.")
	case by.Child("KMSMasterKeyID").Exists():
		return s3err.InvalidArgument("ApplyServerSideEncryptionByDefault", "KMSMasterKeyID", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
	}
	return nil
}

// BucketOwnerEnforced is the one ownership that Stele has: access is by key role and policy, never by ACL.
const BucketOwnerEnforced = "BucketOwnerEnforced"

// DecodeOwnership parses OwnershipControls.
func DecodeOwnership(b []byte) (string, error) {
	root, err := s3xml.Parse(b, "OwnershipControls")
	if err != nil {
		return "", err
	}
	n := 0
	for c := range root.Children() {
		if c.Name() == "Rule" {
			n++
		}
	}
	o := root.Child("Rule").Child("ObjectOwnership").Word()
	switch {
	case n != 1:
		return "", s3err.ErrMalformedXML
	case o == BucketOwnerEnforced, o == "BucketOwnerPreferred", o == "ObjectWriter":
		return o, nil
	}
	return "", s3err.ErrMalformedXML
}

// PublicAccessBlock is a bucket's PublicAccessBlockConfiguration.
type PublicAccessBlock struct {
	BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
}

// DecodePublicAccessBlock parses it.
func DecodePublicAccessBlock(b []byte) (PublicAccessBlock, error) {
	var p PublicAccessBlock
	root, err := s3xml.Parse(b, "PublicAccessBlockConfiguration")
	if err != nil {
		return p, err
	}
	for _, f := range []struct {
		name string
		to   *bool
	}{
		{"BlockPublicAcls", &p.BlockPublicAcls}, {"IgnorePublicAcls", &p.IgnorePublicAcls},
		{"BlockPublicPolicy", &p.BlockPublicPolicy}, {"RestrictPublicBuckets", &p.RestrictPublicBuckets},
	} {
		switch strings.ToLower(root.Child(f.name).Word()) {
		case "true":
			*f.to = true
		case "false", "":
		default:
			return p, s3err.ErrMalformedXML
		}
	}
	return p, nil
}

// DecodeACL parses an AccessControlPolicy and accepts only what changes nothing: the owner's full control.
func DecodeACL(b []byte, owner string) error {
	root, err := s3xml.Parse(b, "AccessControlPolicy")
	if err != nil {
		return s3err.ErrMalformedACL
	}
	list := root.Child("AccessControlList")
	if root.Child("Owner").Child("ID").Word() == "" || !list.Exists() {
		return s3err.ErrMalformedACL
	}
	var grants error
	for g := range list.Children() {
		who, what := g.Child("Grantee"), g.Child("Permission").Word()
		switch {
		case g.Name() != "Grant" || !aclPermissions[what] || !wellFormedGrantee(who):
			return s3err.ErrMalformedACL
		case who.Child("ID").Word() != owner || what != "FULL_CONTROL":
			grants = s3err.ErrACLNotSupported
		}
	}
	return grants
}

var aclPermissions = wire.Words("FULL_CONTROL READ WRITE READ_ACP WRITE_ACP")

func wellFormedGrantee(g s3xml.Elem) bool {
	if !g.Exists() {
		return false
	}
	switch g.Type() {
	case "CanonicalUser":
		return g.Child("ID").Word() != ""
	case "Group":
		return g.Child("URI").Word() != ""
	case "AmazonCustomerByEmail":
		return g.Child("EmailAddress").Word() != ""
	}
	return false
}
