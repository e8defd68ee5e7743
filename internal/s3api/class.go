package s3api

import (
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Storage classes are kept and answered, and all of them are stored alike: a client that asks for one finds it again, and nothing is slower, cheaper or
// farther away for it. What AWS would have to restore first can be read at once, and its restore header says so.

// classHeader is the kept header that says the storage class; STANDARD is not kept, as AWS does not answer it.
const classHeader = "x-amz-storage-class"

// classNames are the classes that AWS takes for a general purpose bucket.
const classNames = "STANDARD REDUCED_REDUNDANCY STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER_IR GLACIER DEEP_ARCHIVE"

var storageClasses = wire.Words(classNames)

// checkClass refuses what AWS refuses.
func checkClass(v string) error {
	if !storageClasses[v] {
		return s3err.ErrInvalidStorageClass.Msg("The storage class you specified is not valid. Stele takes %s.", classNames).With("StorageClassRequested", v)
	}
	return nil
}

// archived tells whether clients believe that an object of this class cannot be read before it is restored.
func archived(class string) bool { return class == "GLACIER" || class == "DEEP_ARCHIVE" }

// isRestored is x-amz-restore of an archived object: its copy is there and stays.
var isRestored = []string{`ongoing-request="false", expiry-date="Fri, 31 Dec 9999 00:00:00 GMT"`}

// withClass returns headers with a storage class, and without the class that they had. The map that came in is left as it is.
func withClass(headers map[string]string, class string) map[string]string {
	if class == "STANDARD" {
		class = ""
	}
	if headers[classHeader] == class {
		return headers
	}
	out := make(map[string]string, len(headers)+1)
	for k, v := range headers {
		if k != classHeader {
			out[k] = v
		}
	}
	if class != "" {
		out[classHeader] = class
	}
	return out
}
