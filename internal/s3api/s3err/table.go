package s3err

// table holds every error below, for docs/S3.md and for the tests.
var table []*Error

func def(code string, status int, message string) *Error {
	e := &Error{Code: code, Status: status, Message: message}
	table = append(table, e)
	return e
}

// All lists the table.
func All() []*Error { return table }

// The errors of S3 with their texts. Several texts share a code; the plain name is the common one. Where AWS documents a text
// with and without a full stop, it is the one that versitygw's test command demands.
var (
	// Who you are.
	ErrAccessDenied             = def("AccessDenied", 403, "Access Denied.")
	ErrLocked                   = def("AccessDenied", 403, "Access Denied because object protected by object lock.")
	ErrAnonymous                = def("AccessDenied", 403, "Anonymous users cannot invoke this API. Please authenticate.")
	ErrRequestExpired           = def("AccessDenied", 403, "Request has expired.")
	ErrRequestNotYetValid       = def("AccessDenied", 403, "Request is not valid yet.")
	ErrHeadersNotSigned         = def("AccessDenied", 403, "There were headers present in the request which were not signed")
	ErrMissingDate              = def("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header.")
	ErrInvalidAccessKeyID       = def("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records.")
	ErrSignatureDoesNotMatch    = def("SignatureDoesNotMatch", 403, "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	ErrRequestTimeTooSkewed     = def("RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large.")
	ErrAuthHeaderMalformed      = def("AuthorizationHeaderMalformed", 400, "The authorization header you provided is invalid.")
	ErrAuthQueryParameters      = def("AuthorizationQueryParametersError", 400, "The authorization query parameters that you provided are not valid.")
	ErrSignatureV2              = def("InvalidRequest", 400, "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. This request is signed with Signature Version 2. Set signature_version to s3v4 and sign again: in aws-cli `aws configure set default.s3.signature_version s3v4`, in boto3 Config(signature_version='s3v4'), in s3cmd signature_v2 = False, in other tools the setting of that kind.")
	ErrMissingContentSHA256     = def("InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256")
	ErrContentSHA256Usage       = def("InvalidRequest", 400, "The value of x-amz-content-sha256 header is invalid.")
	ErrAnonymousContentSHA256   = def("InvalidRequest", 400, "Anonymous requests don't support this x-amz-content-sha256 value. Please use UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER.")
	ErrAnonymousResponseHeaders = def("InvalidRequest", 400, "Request specific response headers cannot be used for anonymous GET requests.")
	ErrSecurityToken            = def("InvalidToken", 400, "The provided token is malformed or otherwise invalid.")
	ErrMissingSecurityHeader    = def("MissingSecurityHeader", 400, "Your request was missing a required header.")

	// Bodies.
	ErrBadDigest                = def("BadDigest", 400, "The Content-MD5 you specified did not match what we received.")
	ErrInvalidDigest            = def("InvalidDigest", 400, "The Content-Md5 you specified is not valid.")
	ErrContentSHA256Mismatch    = def("XAmzContentSHA256Mismatch", 400, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	ErrIncompleteBody           = def("IncompleteBody", 400, "The request body terminated unexpectedly")
	ErrContentLengthMismatch    = def("IncompleteBody", 400, "You did not provide the number of bytes specified by the Content-Length HTTP header")
	ErrMissingContentLength     = def("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
	ErrEntityTooLarge           = def("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size.")
	ErrEntityTooSmall           = def("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size")
	ErrInvalidChunkSize         = def("InvalidChunkSizeError", 400, "Only the last chunk is allowed to have a size less than 8192 bytes")
	ErrMalformedTrailer         = def("MalformedTrailerError", 400, "The request contained trailing data that was not well-formed or did not conform to our published schema.")
	ErrMaxMessageLengthExceeded = def("MaxMessageLengthExceeded", 400, "Your request was too big.")
	ErrMissingRequestBody       = def("MissingRequestBodyError", 400, "Request Body is empty")
	ErrRequestTimeout           = def("RequestTimeout", 400, "Your socket connection to the server was not read from or written to within the timeout period.")
	ErrUnexpectedContent        = def("UnexpectedContent", 400, "This request does not support content.")
	ErrHeaderTooLarge           = def("RequestHeaderSectionTooLarge", 400, "Your request header section exceeds the maximum allowed size.")
	ErrMetadataTooLarge         = def("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size")
	ErrMalformedXML             = def("MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our published schema.")
	ErrMalformedACL             = def("MalformedACLError", 400, "The XML you provided was not well-formed or did not validate against our published schema.")
	ErrMalformedPolicy          = def("MalformedPolicy", 400, "Policies must be valid JSON and the first byte must be '{'")
	ErrMalformedPOST            = def("MalformedPOSTRequest", 400, "The body of your POST request is not well-formed multipart/form-data.")
	ErrInvalidPolicyDocument    = def("InvalidPolicyDocument", 400, "The content of the form does not meet the conditions specified in the policy document.")
	ErrMissingChecksum          = def("InvalidRequest", 400, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	ErrMultipleChecksums        = def("InvalidRequest", 400, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	ErrChecksumAlgorithm        = def("InvalidRequest", 400, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64]")
	ErrChecksumHeader           = def("InvalidRequest", 400, "The algorithm type you specified in x-amz-checksum- header is invalid.")
	ErrChecksumSDK              = def("InvalidRequest", 400, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	ErrChecksumTypeAlone        = def("InvalidRequest", 400, "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	ErrTrailerHeader            = def("InvalidRequest", 400, "The value specified in the x-amz-trailer header is not supported")

	// Requests.
	ErrInvalidArgument     = def("InvalidArgument", 400, "Invalid Argument")
	ErrInvalidRequest      = def("InvalidRequest", 400, "Invalid Request.")
	ErrInvalidURI          = def("InvalidURI", 400, "Couldn't parse the specified URI.")
	ErrKeyTooLong          = def("KeyTooLongError", 400, "Your key is too long.")
	ErrMethodNotAllowed    = def("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
	ErrNotImplemented      = def("NotImplemented", 501, "A header you provided implies functionality that is not implemented.")
	ErrBadRequest          = def("BadRequest", 400, "An error occurred when parsing the HTTP request.")
	ErrInvalidTag          = def("InvalidTag", 400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation.")
	ErrInvalidRange        = def("InvalidRange", 416, "The requested range is not satisfiable")
	ErrInvalidPartNumber   = def("InvalidPartNumber", 416, "The requested partnumber is not satisfiable.")
	ErrRangeAndPart        = def("InvalidRequest", 400, "Cannot specify both Range header and partNumber query parameter")
	ErrPreconditionFailed  = def("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold.")
	ErrNotModified         = def("NotModified", 304, "Not Modified")
	ErrConditionalConflict = def("ConditionalRequestConflict", 409, "The conditional request cannot succeed due to a conflicting operation against this resource.")
	ErrUploadsOfKey        = def("InvalidRequest", 400, "Key is not expected for the GET method ?uploads subresource")
	ErrVersionsOfKey       = def("InvalidRequest", 400, "There is no such thing as the ?versions sub-resource for a key")
	ErrCopyToSelf          = def("InvalidRequest", 400, "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	ErrCopySourceTooLarge  = def("InvalidRequest", 400, "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	ErrInvalidStorageClass = def("InvalidStorageClass", 400, "The storage class you specified is not valid")
	ErrInvalidEncryption   = def("InvalidEncryptionAlgorithmError", 400, "The encryption request that you specified is not valid. The valid value is AES256.")
	ErrObjectAttributes    = def("InvalidRequest", 400, "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")

	// Buckets.
	ErrNoSuchBucket                = def("NoSuchBucket", 404, "The specified bucket does not exist.")
	ErrBucketAlreadyExists         = def("BucketAlreadyExists", 409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.")
	ErrBucketAlreadyOwnedByYou     = def("BucketAlreadyOwnedByYou", 409, "Your previous request to create the named bucket succeeded and you already own it.")
	ErrBucketNotEmpty              = def("BucketNotEmpty", 409, "The bucket you tried to delete is not empty.")
	ErrVersionedBucketNotEmpty     = def("BucketNotEmpty", 409, "The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
	ErrInvalidBucketName           = def("InvalidBucketName", 400, "The specified bucket is not valid.")
	ErrInvalidBucketState          = def("InvalidBucketState", 409, "The request is not valid for the current state of the bucket.")
	ErrVersioningNotEnabled        = def("InvalidBucketState", 409, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	ErrVersioningLocked            = def("InvalidBucketState", 409, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	ErrInvalidLocation             = def("InvalidLocationConstraint", 400, "The specified location-constraint is not valid")
	ErrNoSuchBucketPolicy          = def("NoSuchBucketPolicy", 404, "The bucket policy does not exist.")
	ErrNoSuchCORS                  = def("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist")
	ErrNoSuchLifecycle             = def("NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist")
	ErrNoSuchTagSet                = def("NoSuchTagSet", 404, "The TagSet does not exist.")
	ErrNoSuchOwnershipControls     = def("OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found.")
	ErrNoSuchPublicAccessBlock     = def("NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found")
	ErrNoSuchObjectLock            = def("ObjectLockConfigurationNotFoundError", 404, "Object Lock configuration does not exist for this bucket.")
	ErrACLNotSupported             = def("AccessControlListNotSupported", 400, "The bucket does not allow ACLs.")
	ErrACLWithOwnership            = def("InvalidBucketAclWithObjectOwnership", 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	ErrCannedACLAndGrants          = def("InvalidRequest", 400, "Specifying both Canned ACLs and Header Grants is not allowed.")
	ErrCORSNotEnabled              = def("AccessForbidden", 403, "CORSResponse: CORS is not enabled for this bucket.")
	ErrCORSForbidden               = def("AccessForbidden", 403, "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
	ErrCORSNoOrigin                = def("BadRequest", 400, "Insufficient information. Origin request header needed.")
	ErrBucketTagCount              = def("BadRequest", 400, "Bucket tag count cannot be greater than 50")
	ErrObjectTagCount              = def("BadRequest", 400, "Object tags cannot be greater than 10")
	ErrBucketMissingObjectLock     = def("InvalidRequest", 400, "Bucket is missing Object Lock Configuration")
	ErrObjectMissingObjectLockConf = def("InvalidRequest", 400, "Bucket is missing ObjectLockConfiguration")

	// Objects.
	ErrNoSuchKey           = def("NoSuchKey", 404, "The specified key does not exist.")
	ErrNoSuchVersion       = def("NoSuchVersion", 404, "The specified version does not exist.")
	ErrNoSuchUpload        = def("NoSuchUpload", 404, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	ErrNoSuchRetention     = def("NoSuchObjectLockConfiguration", 404, "The specified object does not have a ObjectLock configuration.")
	ErrInvalidPart         = def("InvalidPart", 400, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	ErrInvalidPartOrder    = def("InvalidPartOrder", 400, "The list of parts was not in ascending order. Parts must be ordered by part number.")
	ErrInvalidWebsiteRedir = def("InvalidRedirectLocation", 400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.")

	// Ours and the server's.
	ErrInternalError      = def("InternalError", 500, "We encountered an internal error. Please try again.")
	ErrSlowDown           = def("SlowDown", 503, "Please reduce your request rate.")
	ErrServiceUnavailable = def("ServiceUnavailable", 503, "Service is unable to handle request.")
	ErrStorageFull        = def("InsufficientStorage", 507, "The disk of the server has no space left for new data. Whoever runs it has to make room there; meanwhile reads and deletes work.")
	ErrErased             = def("Erased", 410, "The bytes of this version were erased after their keep period. The ledger still holds its entry.")
)
