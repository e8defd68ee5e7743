package s3api

import (
	"os"
	"strings"
	"testing"

	"stele/internal/s3api/policy"
)

// TestDocsNameEveryOperation holds docs/S3.md to the table of operations.
func TestDocsNameEveryOperation(t *testing.T) {
	page, err := os.ReadFile("../../docs/S3.md")
	if err != nil {
		t.Fatal(err)
	}
	for op := opUnknown + 1; op < opCount; op++ {
		_, row, found := strings.Cut(string(page), "| "+op.String()+" | ")
		if !found {
			t.Errorf("docs/S3.md has no row for %s", op)
		} else if op.Implemented() == strings.HasPrefix(row, "no |") {
			t.Errorf("docs/S3.md says otherwise of %s than the table", op)
		}
	}
}

// TestDocsNameEveryConditionKey holds docs/POLICY.md to the tables of condition keys.
func TestDocsNameEveryConditionKey(t *testing.T) {
	b, err := os.ReadFile("../../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ToLower(string(b))
	for _, key := range append(policy.Keys(), policy.UnsuppliedKeys()...) {
		key, _ = strings.CutSuffix(key, "team")
		if !strings.Contains(page, "`"+key) {
			t.Errorf("docs/POLICY.md does not name %s", key)
		}
	}
}
