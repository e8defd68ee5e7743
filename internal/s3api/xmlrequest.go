package s3api

import (
	"strconv"
	"strings"
	"time"
)

// What requests carry in XML. Each Decode takes the whole body, read by readSized, and returns *Error. Unknown elements are
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
	root, err := parseRoot(b, "Delete")
	if err != nil {
		return nil, err
	}
	d := &DeleteRequest{Quiet: strings.EqualFold(root.child("Quiet").word(), "true")}
	for o := range root.children() {
		if o.name() != "Object" {
			continue
		}
		if len(d.Objects) == 1000 {
			return nil, ErrMalformedXML
		}
		obj, err := decodeObjectToDelete(o)
		if err != nil {
			return nil, err
		}
		d.Objects = append(d.Objects, obj)
	}
	if len(d.Objects) == 0 {
		return nil, ErrMalformedXML
	}
	return d, nil
}

func decodeObjectToDelete(o elem) (ObjectToDelete, error) {
	obj := ObjectToDelete{Size: -1}
	for c := range o.children() {
		var err error
		switch c.name() {
		case "Key":
			obj.Key = c.text()
		case "VersionId":
			obj.VersionID = c.word()
		case "ETag":
			obj.ETag = trimETag(c.word())
		case "Size":
			obj.Size, err = strconv.ParseInt(c.word(), 10, 64)
		case "LastModifiedTime":
			obj.LastModifiedTime, err = parseTime(c.word())
		}
		if err != nil {
			return obj, ErrMalformedXML
		}
	}
	if obj.Key == "" {
		return obj, ErrMalformedXML
	}
	if len(obj.Key) > maxKeyBytes {
		return obj, keyTooLong(len(obj.Key))
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
	root, err := parseRoot(b, "CompleteMultipartUpload")
	if err != nil {
		return nil, err
	}
	parts := make([]CompletedPart, 0, min(len(root.d.nodes)/3, 10000))
	for c := range root.children() {
		if c.name() != "Part" {
			continue
		}
		p, err := decodePart(c)
		if err != nil {
			return nil, err
		}
		if len(parts) == 10000 {
			return nil, ErrMalformedXML
		}
		if len(parts) > 0 && parts[len(parts)-1].PartNumber >= p.PartNumber {
			return nil, ErrInvalidPartOrder
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return nil, ErrMalformedXML
	}
	return parts, nil
}

func decodePart(e elem) (CompletedPart, error) {
	var p CompletedPart
	var number string
	for c := range e.children() {
		switch name := c.name(); name {
		case "PartNumber":
			number = c.word()
		case "ETag":
			p.ETag = trimETag(c.word())
		default:
			alg, ok := strings.CutPrefix(name, "Checksum")
			if a, err := ParseAlgorithm(alg); ok && err == nil {
				if !a.valid(c.word()) || p.Algorithm != NoChecksum {
					return p, InvalidArgument("Checksum", c.word(), "Invalid Base64 or multiple checksums present in request")
				}
				p.Algorithm, p.Checksum = a, c.word()
			}
		}
	}
	n, err := strconv.Atoi(number)
	if err != nil || p.ETag == "" {
		return p, ErrMalformedXML
	}
	if n < 1 {
		return p, InvalidArgument("PartNumber", number, "PartNumber must be >= 1")
	}
	if n > 10000 {
		return p, InvalidArgument("partNumber", number, "Part number must be an integer between 1 and 10000, inclusive.")
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
	Tags               []Tag
}

// DecodeCreateBucket parses it; an empty body is the zero value.
func DecodeCreateBucket(b []byte) (CreateBucketConfiguration, error) {
	var c CreateBucketConfiguration
	if len(b) == 0 {
		return c, nil
	}
	root, err := parseRoot(b, "CreateBucketConfiguration")
	if err != nil {
		return c, err
	}
	c.LocationConstraint = root.child("LocationConstraint").word()
	if tags := root.child("Tags"); tags.exists() {
		c.Tags, err = decodeTagSet(tags, maxBucketTags)
	}
	return c, err
}

// DecodeVersioning parses a VersioningConfiguration: Enabled or Suspended.
func DecodeVersioning(b []byte) (string, error) {
	root, err := parseRoot(b, "VersioningConfiguration")
	if err != nil {
		return "", err
	}
	if strings.EqualFold(root.child("MfaDelete").word(), "Enabled") {
		return "", ErrNotImplemented.Msg("MFA delete is not supported.")
	}
	switch s := root.child("Status").word(); s {
	case "Enabled", "Suspended":
		return s, nil
	}
	return "", ErrMalformedXML
}

// DecodeEncryption parses a ServerSideEncryptionConfiguration. Stele encrypts everything; AES256 is what it can promise.
func DecodeEncryption(b []byte) error {
	root, err := parseRoot(b, "ServerSideEncryptionConfiguration")
	if err != nil {
		return err
	}
	rule := root.child("Rule")
	by := rule.child("ApplyServerSideEncryptionByDefault")
	switch {
	case !rule.exists():
		return ErrMalformedXML
	case by.exists() && by.child("SSEAlgorithm").word() != "AES256":
		return ErrNotImplemented.Msg("Only AES256 is supported: Stele holds the keys.")
	case by.child("KMSMasterKeyID").exists():
		return InvalidArgument("ApplyServerSideEncryptionByDefault", "KMSMasterKeyID", "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms")
	}
	return nil
}

// BucketOwnerEnforced is the one ownership that Stele has: access is by key role and policy, never by ACL.
const BucketOwnerEnforced = "BucketOwnerEnforced"

// DecodeOwnership parses OwnershipControls.
func DecodeOwnership(b []byte) (string, error) {
	root, err := parseRoot(b, "OwnershipControls")
	if err != nil {
		return "", err
	}
	n := 0
	for c := range root.children() {
		if c.name() == "Rule" {
			n++
		}
	}
	o := root.child("Rule").child("ObjectOwnership").word()
	switch {
	case n != 1:
		return "", ErrMalformedXML
	case o == BucketOwnerEnforced, o == "BucketOwnerPreferred", o == "ObjectWriter":
		return o, nil
	}
	return "", ErrMalformedXML
}

// PublicAccessBlock is a bucket's PublicAccessBlockConfiguration.
type PublicAccessBlock struct {
	BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
}

// DecodePublicAccessBlock parses it.
func DecodePublicAccessBlock(b []byte) (PublicAccessBlock, error) {
	var p PublicAccessBlock
	root, err := parseRoot(b, "PublicAccessBlockConfiguration")
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
		switch strings.ToLower(root.child(f.name).word()) {
		case "true":
			*f.to = true
		case "false", "":
		default:
			return p, ErrMalformedXML
		}
	}
	return p, nil
}

// DecodeACL parses an AccessControlPolicy and accepts only what changes nothing: the owner's full control.
func DecodeACL(b []byte, owner string) error {
	root, err := parseRoot(b, "AccessControlPolicy")
	if err != nil {
		return ErrMalformedACL
	}
	list := root.child("AccessControlList")
	if root.child("Owner").child("ID").word() == "" || !list.exists() {
		return ErrMalformedACL
	}
	var grants error
	for g := range list.children() {
		who, what := g.child("Grantee"), g.child("Permission").word()
		switch {
		case g.name() != "Grant" || !aclPermissions[what] || !wellFormedGrantee(who):
			return ErrMalformedACL
		case who.child("ID").word() != owner || what != "FULL_CONTROL":
			grants = ErrACLNotSupported
		}
	}
	return grants
}

var aclPermissions = set("FULL_CONTROL READ WRITE READ_ACP WRITE_ACP")

func wellFormedGrantee(g elem) bool {
	if !g.exists() {
		return false
	}
	switch g.d.nodes[g.i].typ {
	case "CanonicalUser":
		return g.child("ID").word() != ""
	case "Group":
		return g.child("URI").word() != ""
	case "AmazonCustomerByEmail":
		return g.child("EmailAddress").word() != ""
	}
	return false
}

// parseTime reads a time as S3's clients write it.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t, err = time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s)
	}
	return t.UTC(), err
}
