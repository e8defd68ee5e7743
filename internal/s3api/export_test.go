package s3api

import (
	"net/http"
	"slices"
)

// AfterJudging has fn called whenever the tags of a version have judged a request.
func AfterJudging(h http.Handler, fn func()) { h.(*server).afterJudging = fn }

// ConditionKeys are all keys that a policy may use, in order; the two of tags as they end without the tag's key.
func ConditionKeys() []string {
	keys := []string{existingTag, requestTag}
	for k := range conditionKeys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// UnsuppliedKeys are the keys of AWS that are refused by name.
func UnsuppliedKeys() []string {
	keys := []string{"aws:principaltag/team", "aws:requesttag/team"}
	for k := range unsupplied {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
