// Package policy has the bucket policies of S3: their language, what is refused when one is put, and what one says to a request.
//
//	Parse      a document becomes a Policy, or is refused with AWS's words     policy.go, condition.go
//	Evaluate   a Policy says Allows, Denies or nothing to an Ask               evaluate.go
//	actions    what a policy may name as an action, and what each is about     actions.go
//	keys       what a condition may be about, and which actions can have it    keys.go
//
// A condition that no request can meet looks like a guard and is none. So every accepted key has a line in a table, and whoever asks fills in a Context by it; a key that nothing here can
// fill in is refused when the policy is put. What was stored by an earlier version is read with Rules.Stored, which refuses less.
//
// It knows no request: who asks, what for and in what circumstances is the caller's to find out.
//
// Source of the language: IAM User Guide, "Policy reference", for resource-based policies; Amazon S3 User Guide, "Actions, resources, and condition keys".
package policy
