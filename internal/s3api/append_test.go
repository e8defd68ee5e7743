package s3api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// begun opens an upload and returns its id.
func (d *door) begun(k entry.AccessKey, target string) string {
	d.Helper()
	got := d.as(k, "POST", target+"?uploads=", "")
	_, rest, _ := strings.Cut(string(got.Body), "<UploadId>")
	id, _, ok := strings.Cut(rest, "</UploadId>")
	if !ok {
		d.Fatalf("no upload: %d %s", got.Status, got.Body)
	}
	return id
}

func completeDoc(part *doortest.Reply) string {
	return fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>", part.Header.Get("ETag"))
}

// Role append takes nothing away from an upload that another key began, and does what it likes with its own.
func TestAppendAndUploadsOfOthers(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.bucket("box", false)
	_, writer := d.key(stele.RoleReadWrite)
	_, add := d.key(stele.RoleAppend)
	_, second := d.key(stele.RoleAppend)
	id := d.begun(writer, "/box/theirs")
	part := d.as(writer, "PUT", "/box/theirs?partNumber=1&uploadId="+id, "the first part")
	d.want("a part", part, 200)
	d.want("PUT", d.as(writer, "PUT", "/box/source", "bytes"), 200)
	for _, k := range []entry.AccessKey{add, second} {
		d.want("abort", d.as(k, "DELETE", "/box/theirs?uploadId="+id, ""), 403)
		d.want("a part in place of another", d.as(k, "PUT", "/box/theirs?partNumber=1&uploadId="+id, "junk"), 403)
		d.want("a copy in place of a part", d.as(k, "PUT", "/box/theirs?partNumber=1&uploadId="+id, "", "X-Amz-Copy-Source: /box/source"), 403)
		d.want("complete", d.as(k, "POST", "/box/theirs?uploadId="+id, completeDoc(part)), 403)
	}
	d.want("complete by whoever began it", d.as(writer, "POST", "/box/theirs?uploadId="+id, completeDoc(part)), 200)

	own := d.begun(add, "/box/own")
	d.want("a part of its own", d.as(add, "PUT", "/box/own?partNumber=1&uploadId="+own, "one"), 200)
	part = d.as(add, "PUT", "/box/own?partNumber=1&uploadId="+own, "another")
	d.want("the same again", part, 200)
	d.want("abort of another append key's", d.as(second, "DELETE", "/box/own?uploadId="+own, ""), 403)
	d.want("complete its own", d.as(add, "POST", "/box/own?uploadId="+own, completeDoc(part)), 200)
	given := d.begun(add, "/box/given-up")
	d.want("abort its own", d.as(add, "DELETE", "/box/given-up?uploadId="+given, ""), 204)
	d.want("readwrite aborts anybody's", d.as(writer, "DELETE", "/box/x?uploadId="+d.begun(add, "/box/x"), ""), 204)

	over := d.begun(add, "/box/source") // begun while the key is taken: judged when it would become an object
	part = d.as(add, "PUT", "/box/source?partNumber=1&uploadId="+over, "junk")
	d.want("complete over a live key", d.as(add, "POST", "/box/source?uploadId="+over, completeDoc(part)), 403)
	d.want("copy over a live key", d.as(add, "PUT", "/box/source", "", "X-Amz-Copy-Source: /box/own"), 403)
}

// restic holds a lock file while it works. Role append may take away the one that it wrote, and nothing that is called so.
func TestAppendAndResticLocks(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	for _, b := range []string{"repo", "versions"} {
		d.bucket(b, b == "versions")
	}
	_, add := d.key(stele.RoleAppend)
	_, second := d.key(stele.RoleAppend)
	_, scoped := d.key(stele.RoleAppend, "repo/other/")
	name := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return hex.EncodeToString(sum[:])
	}
	for _, b := range []string{"repo", "versions"} {
		for _, folder := range []string{"/locks/", "/host/a/locks/"} {
			lock := "/" + b + folder + name("a lock")
			d.want("PUT", d.as(add, "PUT", lock, "a lock"), 200)
			d.want("by another append key", d.as(second, "DELETE", lock, ""), 403)
			d.want("by a key of another part", d.as(scoped, "DELETE", lock, ""), 403)
			d.want("by whoever wrote it", d.as(add, "DELETE", lock, ""), 204)
			d.want("it is gone", d.as(add, "HEAD", lock, ""), 404)
			d.want("once more", d.as(add, "DELETE", lock, ""), 204)
		}
	}
	for _, key := range []string{"data/" + name("x"), "locks/" + name("y"), "locks/x/" + name("x"), "blocks/" + name("x"), "locks/" + strings.ToUpper(name("x")), "locks/" + name("x") + ".txt", "snapshots/" + name("x")} {
		d.want("PUT", d.as(add, "PUT", "/repo/"+key, "x"), 200)
		got := d.as(add, "DELETE", "/repo/"+key, "")
		d.want("DELETE "+key, got, 403)
		if !strings.Contains(string(got.Body), "role append") {
			t.Errorf("%s: the refusal does not say why: %s", key, got.Body)
		}
	}
	lock := "locks/" + name("versioned")
	d.want("PUT", d.as(add, "PUT", "/versions/"+lock, "versioned"), 200)
	v, err := d.store.Head(t.Context(), stele.Place{Bucket: "versions", Key: lock})
	d.ok(err)
	d.want("DELETE of a version", d.as(add, "DELETE", "/versions/"+lock+"?versionId="+v.ID, ""), 403)
	many := "<Delete><Object><Key>" + lock + "</Key></Object><Object><Key>data/" + name("x") + "</Key></Object></Delete>"
	got := d.as(add, "POST", "/versions?delete=", many)
	d.want("DeleteObjects", got, 200)
	if strings.Count(string(got.Body), "<Deleted>") != 1 || strings.Count(string(got.Body), "<Error>") != 1 {
		t.Errorf("DeleteObjects: %s", got.Body)
	}
}
