// Package s3errtest judges errors in the tests of the rooms of S3.
package s3errtest

import (
	"errors"
	"strings"
	"testing"

	"stele/internal/s3api/s3err"
)

// Want fails the test unless err is the S3 error with this code and with these words in its message. name says what failed so.
func Want(t testing.TB, name string, err error, code, message string) {
	t.Helper()
	var e *s3err.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, message) {
		t.Errorf("%s: got %v, want %s with %q", name, err, code, message)
	}
}

// Client ends the test unless err is nil or an S3 error that blames the client: a parser of foreign bytes fails in no other way.
func Client(t testing.TB, err error) {
	t.Helper()
	var e *s3err.Error
	if err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Status >= 500 && e.Status != 501) {
		t.Fatalf("not the client's error: %v", err)
	}
}
