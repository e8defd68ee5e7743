package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/policy"
)

// trial is one key and one way to supply it: a Deny on action under cond fires for what with sends, and not for what without sends.
type trial struct {
	key, how string
	action   string
	cond     string
	other    string // the condition under which without is sent, where the request cannot be without the key; "": cond
	bucket   string // whose policy it is; "": box
	with     func(j *judge) func() reply
	without  func(j *judge) func() reply
}

// TestEveryConditionKeyCanDeny goes through every key that a policy may use, and every way in which a request supplies it.
func TestEveryConditionKeyCanDeny(t *testing.T) {
	j := openJudge(t)
	tried := map[string]bool{}
	for _, c := range trials() {
		tried[c.key] = true
		t.Run(c.key+" by "+c.how, func(t *testing.T) { c.run(t, j) })
	}
	for _, key := range policy.Keys() {
		if !tried[key] {
			t.Errorf("a policy may use %s, and no trial shows that it can deny", key)
		}
	}
	for key := range tried {
		if !slices.Contains(policy.Keys(), key) {
			t.Errorf("the trial of %s is of a key that no policy may use", key)
		}
	}
}

func (c trial) run(t *testing.T, j *judge) {
	whole, here := j.door, *j.door
	here.T, j.door = t, &here
	defer func() { j.door = whole }()
	bucket := c.bucket
	if bucket == "" {
		bucket = box
	}
	j.put(bucket, "")
	with, without := c.with(j), c.without(j)
	j.put(bucket, deny(bucket, c.action, c.cond))
	if got := with(); !got.denied() {
		t.Errorf("Deny %s if %s does not fire: %d %s", c.action, c.cond, got.status, got.body)
	}
	if c.other != "" {
		j.put(bucket, deny(bucket, c.action, c.other))
	}
	if got := without(); got.denied() || got.status >= 300 {
		t.Errorf("Deny %s if %s%s fires without the value: %d %s", c.action, c.cond, c.other, got.status, got.body)
	}
	j.put(bucket, "")
}

// now makes a request that needs no preparation.
func now(send func(j *judge) reply) func(*judge) func() reply {
	return func(j *judge) func() reply { return func() reply { return send(j) } }
}

func get(path string, header map[string]string) func(*judge) func() reply {
	return now(func(j *judge) reply { return j.send("GET", path, "", header) })
}

const plainPath, secretPath = "/" + box + "/plain", "/" + box + "/secret"

func trials() []trial {
	all := slices.Concat(connectionTrials(), listTrials(), versionTrials(), lockTrials(), tagTrials(), writeTrials())
	for _, h := range []struct {
		key, header, value, cond string
	}{
		{key: "s3:x-amz-acl", header: "x-amz-acl", value: "private", cond: `"StringEquals":{"s3:x-amz-acl":"private"}`},
		{key: "s3:x-amz-server-side-encryption", header: "x-amz-server-side-encryption", value: "AES256", cond: `"Null":{"s3:x-amz-server-side-encryption":"false"}`},
		{key: "s3:x-amz-website-redirect-location", header: "x-amz-website-redirect-location", value: "/to", cond: `"StringLike":{"s3:x-amz-website-redirect-location":"/t*"}`},
		{key: "s3:x-amz-storage-class", header: "x-amz-storage-class", value: "STANDARD_IA", cond: `"StringEquals":{"s3:x-amz-storage-class":"STANDARD_IA"}`},
		{key: "s3:x-amz-storage-class", header: "x-amz-storage-class", value: "STANDARD", cond: `"StringEquals":{"s3:x-amz-storage-class":"STANDARD"}`},
		{key: "s3:object-lock-mode", header: "x-amz-object-lock-mode", value: "GOVERNANCE", cond: `"StringEquals":{"s3:object-lock-mode":"GOVERNANCE"}`},
		{key: "s3:object-lock-retain-until-date", header: "x-amz-object-lock-mode", value: "GOVERNANCE", cond: `"DateGreaterThan":{"s3:object-lock-retain-until-date":"2027-01-01T00:00:00Z"}`},
		{key: "s3:object-lock-remaining-retention-days", header: "x-amz-object-lock-mode", value: "GOVERNANCE", cond: `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"300"}`},
		{key: "s3:object-lock-legal-hold", header: "x-amz-object-lock-legal-hold", value: "ON", cond: `"StringEquals":{"s3:object-lock-legal-hold":"ON"}`},
		{key: "s3:requestobjecttag/", header: "x-amz-tagging", value: "class=secret", cond: `"StringEquals":{"s3:RequestObjectTag/class":"secret"}`},
		{key: "s3:requestobjecttagkeys", header: "x-amz-tagging", value: "class=secret", cond: `"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["class","b"]}`},
	} {
		header := map[string]string{h.header: h.value}
		if h.header == "x-amz-object-lock-mode" {
			header["x-amz-object-lock-retain-until-date"] = inAYear
		}
		for how, w := range putWays {
			if strings.HasPrefix(how, "parameter") && strings.HasPrefix(h.header, "x-amz-object-lock") {
				continue // a link does not carry a lock there
			}
			all = append(all, trial{key: h.key, how: how, action: "s3:PutObject", cond: h.cond,
				with:    func(j *judge) func() reply { return w(j, header) },
				without: func(j *judge) func() reply { return w(j, nil) }})
		}
	}
	return all
}

var inAYear = time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339)

// connectionTrials are the keys that every request has, or none.
func connectionTrials() []trial {
	signed := get(plainPath, nil)
	anonymous := now(func(j *judge) reply { return j.anonymous("GET", plainPath, "", nil) })
	link := now(func(j *judge) reply { return j.link(j.srv.URL, "GET", plainPath, "", nil) })
	form := now(func(j *judge) reply { return j.form(box, j.newKey(), nil, nil) })
	hashed := get(plainPath, map[string]string{"X-Amz-Content-Sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"})
	over12 := now(func(j *judge) reply { return j.overTLS(tls12, "GET", plainPath) })
	over13 := now(func(j *judge) reply { return j.overTLS(tls13, "GET", plainPath) })
	late := now(func(j *judge) reply { return j.link(j.late.URL, "GET", plainPath, "", nil) })
	return []trial{
		{key: "aws:currenttime", how: "clock", action: "s3:GetObject", cond: `"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`, other: `"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`, with: signed, without: signed},
		{key: "aws:epochtime", how: "clock", action: "s3:GetObject", cond: `"NumericGreaterThan":{"aws:EpochTime":"1000"}`, other: `"DateLessThan":{"aws:EpochTime":"2020-01-01"}`, with: signed, without: signed},
		{key: "aws:principalaccount", how: "signature", action: "s3:GetObject", cond: `"StringEquals":{"aws:PrincipalAccount":"000000000000"}`, with: signed, without: anonymous},
		{key: "aws:principalarn", how: "signature", action: "s3:GetObject", cond: `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/` + rootID + `"}`, with: link, without: anonymous},
		{key: "aws:principalisawsservice", how: "signature", action: "s3:GetObject", cond: `"Bool":{"aws:PrincipalIsAWSService":"false"}`, with: signed, without: anonymous},
		{key: "aws:viaawsservice", how: "every request", action: "s3:GetObject", cond: `"Bool":{"aws:ViaAWSService":"false"}`, other: `"Bool":{"aws:ViaAWSService":"true"}`, with: anonymous, without: anonymous},
		{key: "aws:principaltype", how: "signature", action: "s3:GetObject", cond: `"StringEquals":{"aws:PrincipalType":"User"}`, with: signed, without: anonymous},
		{key: "aws:userid", how: "signature", action: "s3:GetObject", cond: `"StringEquals":{"aws:userid":"` + rootID + `"}`, with: signed, without: anonymous},
		{key: "aws:username", how: "signature of a form", action: "s3:PutObject", cond: `"StringLike":{"aws:username":"STELE*"}`, other: `"StringNotLike":{"aws:username":"STELE*"}`, with: form, without: form},
		{key: "aws:resourceaccount", how: "bucket", action: "s3:GetObject", cond: `"StringEquals":{"aws:ResourceAccount":"000000000000"}`, other: `"StringNotEquals":{"aws:ResourceAccount":"000000000000"}`, with: signed, without: signed},
		{key: "s3:resourceaccount", how: "bucket", action: "s3:GetObject", cond: `"StringEquals":{"s3:ResourceAccount":"000000000000"}`, other: `"StringNotEquals":{"s3:ResourceAccount":"000000000000"}`, with: signed, without: signed},
		{key: "aws:sourceip", how: "connection", action: "s3:GetObject", cond: `"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, other: `"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}`, with: anonymous, without: signed},
		{key: "aws:securetransport", how: "connection", action: "s3:GetObject", cond: `"Bool":{"aws:SecureTransport":"false"}`, with: signed, without: over12},
		{key: "s3:tlsversion", how: "connection", action: "s3:GetObject", cond: `"NumericLessThan":{"s3:TlsVersion":"1.3"}`, with: over12, without: over13},
		{key: "aws:referer", how: "header", action: "s3:GetObject", cond: `"StringLike":{"aws:Referer":"http://evil.test/*"}`, with: get(plainPath, map[string]string{"Referer": "http://evil.test/a"}), without: signed},
		{key: "aws:referer", how: "second line of the header", action: "s3:GetObject", cond: `"StringLike":{"aws:Referer":"http://evil.test/*"}`, with: get(plainPath, map[string]string{"Referer": "http://good.test/\nhttp://evil.test/a"}), without: signed},
		{key: "aws:referer", how: "header of a form's request", action: "s3:PutObject", cond: `"StringLike":{"aws:Referer":"http://evil.test/*"}`,
			with: now(func(j *judge) reply {
				return j.form(box, j.newKey(), nil, map[string]string{"Referer": "http://evil.test/a"})
			}), without: form},
		{key: "aws:useragent", how: "header", action: "s3:GetObject", cond: `"StringEquals":{"aws:UserAgent":"bad"}`, with: get(plainPath, map[string]string{"User-Agent": "bad"}), without: signed},
		{key: "s3:authtype", how: "signature in the header", action: "s3:GetObject", cond: `"StringEquals":{"s3:authType":"REST-HEADER"}`, with: signed, without: link},
		{key: "s3:authtype", how: "link", action: "s3:GetObject", cond: `"StringEquals":{"s3:authType":"REST-QUERY-STRING"}`, with: link, without: signed},
		{key: "s3:authtype", how: "form", action: "s3:PutObject", cond: `"StringEquals":{"s3:authType":"POST"}`, with: form, without: now(func(j *judge) reply { return j.send("PUT", "/"+box+"/"+j.newKey(), "b", nil) })},
		{key: "s3:signatureversion", how: "signature", action: "s3:GetObject", cond: `"StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}`, with: signed, without: anonymous},
		{key: "s3:signatureage", how: "link", action: "s3:GetObject", cond: `"NumericGreaterThan":{"s3:signatureAge":"300000"}`, with: late, without: link},
		{key: "s3:x-amz-content-sha256", how: "header", action: "s3:GetObject", cond: `"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}`, with: signed, without: hashed},
		{key: "s3:x-amz-content-sha256", how: "link", action: "s3:GetObject", cond: `"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}`, with: link, without: hashed},
		{key: "s3:x-amz-content-sha256", how: "form", action: "s3:*", cond: `"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}`, with: form, without: hashed},
	}
}

// listTrials are what listings ask for, in the header-signed request and in a link, of all four listings.
func listTrials() (all []trial) {
	for _, l := range []struct{ name, query, action, limit string }{
		{"ListObjects", "", "s3:ListBucket", "max-keys"}, {"ListObjectsV2", "list-type=2&", "s3:ListBucket", "max-keys"},
		{"ListObjectVersions", "versions&", "s3:ListBucketVersions", "max-keys"}, {"ListMultipartUploads", "uploads&", "s3:ListBucketMultipartUploads", "max-uploads"},
	} {
		for _, k := range []struct{ key, cond, query string }{
			{"s3:prefix", `"StringLike":{"s3:prefix":"private/*"}`, "prefix=private%2Fx"},
			{"s3:delimiter", `"StringEquals":{"s3:delimiter":"/"}`, "delimiter=/"},
			{"s3:max-keys", `"NumericGreaterThan":{"s3:max-keys":"10"}`, l.limit + "=11"},
		} {
			path, bare := "/"+box+"?"+l.query+k.query, "/"+box+"?"+strings.TrimSuffix(l.query, "&")
			all = append(all, trial{key: k.key, how: l.name, action: l.action, cond: k.cond, with: get(path, nil), without: get(bare, nil)},
				trial{key: k.key, how: "link of " + l.name, action: l.action, cond: k.cond,
					with:    now(func(j *judge) reply { return j.link(j.srv.URL, "GET", path, "", nil) }),
					without: now(func(j *judge) reply { return j.link(j.srv.URL, "GET", bare, "", nil) })})
		}
	}
	return all
}

// fresh writes an object to box and returns its path with its version.
func (j *judge) fresh(header map[string]string) (key, version string) {
	j.Helper()
	key = j.newKey()
	got := j.send("PUT", "/"+box+"/"+key, "body", withMD5(header, "body"))
	if got.status != 200 {
		j.Fatalf("couldn't write an object with %v: %+v", header, got)
	}
	return key, got.header.Get("X-Amz-Version-Id")
}

func md5Base64(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// deleteMany sends DeleteObjects.
func (j *judge) deleteMany(bucket, object string, header map[string]string) reply {
	doc := `<Delete><Object>` + object + `</Object></Delete>`
	return j.send("POST", "/"+bucket+"?delete", doc, with(header, "Content-MD5", md5Base64(doc)))
}

// versionTrials are the requests that name a version.
func versionTrials() []trial {
	byID := func(method, sub, body string) func(*judge) func() reply {
		return now(func(j *judge) reply {
			return j.send(method, secretPath+"?"+sub+"versionId="+j.versions[box+"/secret"], body, nil)
		})
	}
	current := func(method, sub, body string) func(*judge) func() reply {
		return now(func(j *judge) reply { return j.send(method, secretPath+"?"+strings.TrimSuffix(sub, "&"), body, nil) })
	}
	const cond = `"Null":{"s3:VersionId":"false"}`
	remove := func(named bool, send func(j *judge, key, version string) reply) func(*judge) func() reply {
		return func(j *judge) func() reply {
			key, version := j.fresh(nil)
			if !named {
				version = ""
			}
			return func() reply { return send(j, key, version) }
		}
	}
	one := func(j *judge, key, version string) reply {
		path := "/" + box + "/" + key
		if version != "" {
			path += "?versionId=" + version
		}
		return j.send("DELETE", path, "", nil)
	}
	many := func(j *judge, key, version string) reply {
		object := "<Key>" + key + "</Key>"
		if version != "" {
			object += "<VersionId>" + version + "</VersionId>"
		}
		return j.deleteMany(box, object, nil)
	}
	copyOf := func(version bool, to func(j *judge) string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			from := src + "/plain"
			if version {
				from += "?versionId=" + j.versions[src+"/plain"]
			}
			path := to(j)
			return func() reply { return j.send("PUT", path, "", map[string]string{"x-amz-copy-source": from}) }
		}
	}
	newKey := func(j *judge) string { return "/" + box + "/" + j.newKey() }
	newPart := func(j *judge) string { path, _ := j.begin(box, j.newKey(), nil); return path + "&partNumber=2" }
	const tagging = `<Tagging><TagSet><Tag><Key>class</Key><Value>secret</Value></Tag></TagSet></Tagging>`
	return []trial{
		{key: "s3:versionid", how: "query of GetObject", action: "s3:GetObject*", cond: cond, with: byID("GET", "", ""), without: current("GET", "", "")},
		{key: "s3:versionid", how: "query of HeadObject", action: "s3:GetObject*", cond: cond, with: byID("HEAD", "", ""), without: current("HEAD", "", "")},
		{key: "s3:versionid", how: "query of a link", action: "s3:GetObject*", cond: cond, with: now(func(j *judge) reply {
			return j.link(j.srv.URL, "GET", secretPath+"?versionId="+j.versions[box+"/secret"], "", nil)
		}), without: now(func(j *judge) reply { return j.link(j.srv.URL, "GET", secretPath, "", nil) })},
		{key: "s3:versionid", how: "query of GetObjectTagging", action: "s3:GetObject*", cond: cond, with: byID("GET", "tagging&", ""), without: current("GET", "tagging&", "")},
		{key: "s3:versionid", how: "query of PutObjectTagging", action: "s3:PutObject*", cond: cond, with: byID("PUT", "tagging&", tagging), without: current("PUT", "tagging&", tagging)},
		{key: "s3:versionid", how: "query of PutObjectLegalHold", action: "s3:PutObjectLegalHold", cond: cond, with: byID("PUT", "legal-hold&", "<LegalHold><Status>OFF</Status></LegalHold>"),
			without: current("PUT", "legal-hold&", "<LegalHold><Status>OFF</Status></LegalHold>")},
		{key: "s3:versionid", how: "query of DeleteObject", action: "s3:DeleteObject*", cond: cond, with: remove(true, one), without: remove(false, one)},
		{key: "s3:versionid", how: "body of DeleteObjects", action: "s3:DeleteObject*", cond: cond, with: remove(true, many), without: remove(false, many)},
		{key: "s3:versionid", how: "source of CopyObject", bucket: src, action: "s3:GetObject*", cond: cond, with: copyOf(true, newKey), without: copyOf(false, newKey)},
		{key: "s3:versionid", how: "source of UploadPartCopy", bucket: src, action: "s3:GetObject*", cond: cond, with: copyOf(true, newPart), without: copyOf(false, newPart)},
		{key: "s3:versionid", how: "view", action: "s3:GetObject*", cond: cond, with: now(func(j *judge) reply { return j.send("GET", "/"+j.view(box)+"/secret", "", nil) }), without: get(secretPath, nil)},
	}
}

// view is the name of a bucket as it is now.
func (j *judge) view(bucket string) string {
	j.Helper()
	size := j.store.Ledger().Size()
	return fmt.Sprintf("%s--at-e%d", bucket, size)
}

// writeTrials are the headers of writes that have a way of their own.
func writeTrials() []trial {
	put := func(h map[string]string) func(*judge) func() reply {
		return now(func(j *judge) reply { return j.send("PUT", "/"+box+"/"+j.newKey(), "body", h) })
	}
	over := func(method, body string, h func(etag string) map[string]string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			key, _ := j.fresh(nil)
			return func() reply { return j.send(method, "/"+box+"/"+key, body, h(etagOf("body"))) }
		}
	}
	match := func(etag string) map[string]string { return map[string]string{"If-Match": `"` + etag + `"`} }
	none := func(string) map[string]string { return nil }
	many := func(etag string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			key, _ := j.fresh(nil)
			return func() reply { return j.deleteMany(box, "<Key>"+key+"</Key>"+etag, nil) }
		}
	}
	complete := func(h map[string]string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			path, etag := j.begin(box, j.newKey(), nil)
			return func() reply { return j.send("POST", path, completion(etag), h) }
		}
	}
	copyFrom := func(from string, h ...string) func(*judge) func() reply {
		return now(func(j *judge) reply {
			return j.send("PUT", "/"+box+"/"+j.newKey(), "", with(map[string]string{"x-amz-copy-source": from}, h...))
		})
	}
	partFrom := func(from string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			path, _ := j.begin(box, j.newKey(), nil)
			return func() reply {
				return j.send("PUT", path+"&partNumber=2", "", map[string]string{"x-amz-copy-source": from})
			}
		}
	}
	putWay := func(how string) func(*judge) func() reply {
		return func(j *judge) func() reply { return putWays[how](j, nil) }
	}
	const creation, noCreation = `"Bool":{"s3:ObjectCreationOperation":"true"}`, `"Bool":{"s3:ObjectCreationOperation":"false"}`
	const fromSecret = `"StringLike":{"s3:x-amz-copy-source":"` + src + `/sec*"}`
	all := []trial{
		{key: "s3:if-match", how: "header of PutObject", action: "s3:PutObject", cond: `"Null":{"s3:if-match":"false"}`, with: over("PUT", "x", match), without: over("PUT", "x", none)},
		{key: "s3:if-match", how: "header of DeleteObject", action: "s3:DeleteObject", cond: `"StringEquals":{"s3:if-match":"` + etagOf("body") + `"}`, with: over("DELETE", "", match), without: over("DELETE", "", none)},
		{key: "s3:if-match", how: "body of DeleteObjects", action: "s3:DeleteObject", cond: `"Null":{"s3:if-match":"false"}`, with: many("<ETag>" + etagOf("body") + "</ETag>"), without: many("")},
		{key: "s3:if-none-match", how: "header of PutObject", action: "s3:PutObject", cond: `"StringEquals":{"s3:if-none-match":"*"}`, with: put(map[string]string{"If-None-Match": "*"}), without: put(nil)},
		{key: "s3:if-none-match", how: "header of CompleteMultipartUpload", action: "s3:PutObject", cond: `"Null":{"s3:if-none-match":"false"}`, with: complete(map[string]string{"If-None-Match": "*"}), without: complete(nil)},
		{key: "s3:x-amz-copy-source", how: "CopyObject", action: "s3:PutObject", cond: fromSecret, with: copyFrom(src + "/secret"), without: copyFrom(src + "/plain")},
		{key: "s3:x-amz-copy-source", how: "CopyObject, with a slash before", action: "s3:PutObject", cond: fromSecret, with: copyFrom("/" + src + "/secret"), without: copyFrom("/" + src + "/plain")},
		{key: "s3:x-amz-copy-source", how: "CopyObject, escaped", action: "s3:PutObject", cond: fromSecret, with: copyFrom(src + "/%73ecret"), without: copyFrom(src + "/%70lain")},
		{key: "s3:x-amz-copy-source", how: "CopyObject from a view", action: "s3:PutObject", cond: fromSecret,
			with: func(j *judge) func() reply { return copyFrom(j.view(src) + "/secret")(j) }, without: func(j *judge) func() reply { return copyFrom(j.view(src) + "/plain")(j) }},
		{key: "s3:x-amz-copy-source", how: "UploadPartCopy", action: "s3:PutObject", cond: fromSecret, with: partFrom(src + "/secret"), without: partFrom(src + "/plain")},
		{key: "s3:x-amz-metadata-directive", how: "header of CopyObject", action: "s3:PutObject", cond: `"StringEquals":{"s3:x-amz-metadata-directive":"REPLACE"}`,
			with: copyFrom(src+"/plain", "x-amz-metadata-directive", "REPLACE"), without: copyFrom(src + "/plain")},
		{key: "s3:x-amz-acl", how: "form field acl", action: "s3:PutObject", cond: `"StringEquals":{"s3:x-amz-acl":"private"}`,
			with: now(func(j *judge) reply { return j.form(box, j.newKey(), map[string]string{"acl": "private"}, nil) }), without: putWay("form field")},
		{key: "s3:x-amz-acl", how: "header of PutObjectAcl", action: "s3:PutObjectAcl", cond: `"StringEquals":{"s3:x-amz-acl":"private"}`,
			with: now(func(j *judge) reply {
				return j.send("PUT", plainPath+"?acl", "", map[string]string{"x-amz-acl": "private"})
			}),
			without: now(func(j *judge) reply {
				return j.send("PUT", plainPath+"?acl", "", map[string]string{"x-amz-acl": "bucket-owner-full-control"})
			})},
		{key: "s3:x-amz-acl", how: "header of PutBucketAcl", action: "s3:PutBucketAcl", cond: `"StringEquals":{"s3:x-amz-acl":"private"}`,
			with: now(func(j *judge) reply {
				return j.send("PUT", "/"+box+"?acl", "", map[string]string{"x-amz-acl": "private"})
			}),
			without: now(func(j *judge) reply {
				return j.send("PUT", "/"+box+"?acl", "", map[string]string{"x-amz-acl": "bucket-owner-full-control"})
			})},
	}
	for how := range putWays {
		cond, other := creation, noCreation
		if strings.Contains(how, "UploadPart") || strings.Contains(how, "CreateMultipart") {
			cond, other = other, cond
		}
		all = append(all, trial{key: "s3:objectcreationoperation", how: how, action: "s3:PutObject", cond: cond, other: other, with: putWay(how), without: putWay(how)})
	}
	// Grants and foreign keys are refused anyway, but a policy is asked first.
	for key, value := range map[string]string{"x-amz-grant-full-control": "id=x", "x-amz-grant-read": "id=x", "x-amz-grant-read-acp": "id=x", "x-amz-grant-write": "id=x", "x-amz-grant-write-acp": "id=x",
		"x-amz-server-side-encryption-aws-kms-key-id": "k", "x-amz-server-side-encryption-customer-algorithm": "AES256"} {
		cond := `"StringEquals":{"s3:` + key + `":"` + value + `"}`
		for _, how := range []string{"header of PutObject", "signed header of a link", "parameter of a link", "header of CopyObject", "header of CreateMultipartUpload", "form field"} {
			all = append(all, trial{key: "s3:" + key, how: how, action: "s3:PutObject", cond: cond,
				with: func(j *judge) func() reply { return putWays[how](j, map[string]string{key: value}) }, without: putWay(how)})
		}
		if strings.Contains(key, "grant") {
			all = append(all, trial{key: "s3:" + key, how: "header of PutObjectAcl", action: "s3:PutObjectAcl", cond: cond,
				with: now(func(j *judge) reply { return j.send("PUT", plainPath+"?acl", "", map[string]string{key: value}) }),
				without: now(func(j *judge) reply {
					return j.send("PUT", plainPath+"?acl", "", map[string]string{"x-amz-acl": "private"})
				})})
		}
	}
	return all
}

func etagOf(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }

// lockTrials are the locks that come in a body, by default, or that a delete would bypass.
func lockTrials() []trial {
	body := func(sub, doc string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			key, version := j.fresh(nil)
			return func() reply {
				return j.send("PUT", "/"+box+"/"+key+"?"+sub+"&versionId="+url.QueryEscape(version), doc, map[string]string{"Content-MD5": md5Base64(doc)})
			}
		}
	}
	retention := func(mode string, until time.Time) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + until.UTC().Format(time.RFC3339) + "</RetainUntilDate></Retention>"
	}
	day := time.Now().AddDate(0, 0, 1)
	short, long := body("retention", retention("GOVERNANCE", day)), body("retention", retention("GOVERNANCE", day.AddDate(1, 0, 0)))
	byDefault := func(bucket string, h map[string]string) func(*judge) func() reply {
		return now(func(j *judge) reply { return j.send("PUT", "/"+bucket+"/"+j.newKey(), "body", withMD5(h, "body")) })
	}
	explicit := map[string]string{"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": day.UTC().Format(time.RFC3339)}
	bypass := func(days int, send func(j *judge, key, version string) reply) func(*judge) func() reply {
		return func(j *judge) func() reply {
			key, version := j.fresh(map[string]string{"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": day.AddDate(0, 0, days).UTC().Format(time.RFC3339)})
			return func() reply { return send(j, key, version) }
		}
	}
	bypassing := map[string]string{"x-amz-bypass-governance-retention": "true"}
	one := func(j *judge, key, version string) reply {
		return j.send("DELETE", "/"+box+"/"+key+"?versionId="+version, "", bypassing)
	}
	many := func(j *judge, key, version string) reply {
		return j.deleteMany(box, "<Key>"+key+"</Key><VersionId>"+version+"</VersionId>", bypassing)
	}
	const days = `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"30"}`
	const hold = `"StringEquals":{"s3:object-lock-legal-hold":"OFF"}`
	return []trial{
		{key: "s3:object-lock-mode", how: "body of PutObjectRetention", action: "s3:PutObjectRetention", cond: `"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}`, with: body("retention", retention("COMPLIANCE", day)), without: short},
		{key: "s3:object-lock-mode", how: "absence in the body of PutObjectRetention", action: "s3:PutObjectRetention", cond: `"Null":{"s3:object-lock-mode":"true"}`, with: body("retention", "<Retention></Retention>"), without: short},
		{key: "s3:object-lock-retain-until-date", how: "body of PutObjectRetention", action: "s3:PutObjectRetention", cond: `"DateGreaterThan":{"s3:object-lock-retain-until-date":"` + day.AddDate(0, 1, 0).UTC().Format(time.RFC3339) + `"}`, with: long, without: short},
		{key: "s3:object-lock-remaining-retention-days", how: "body of PutObjectRetention", action: "s3:PutObjectRetention", cond: days, with: long, without: short},
		{key: "s3:object-lock-legal-hold", how: "body of PutObjectLegalHold", action: "s3:PutObjectLegalHold", cond: hold, with: body("legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>"), without: body("legal-hold", "<LegalHold><Status>ON</Status></LegalHold>")},
		{key: "s3:object-lock-mode", how: "default of the bucket", bucket: locked, action: "s3:PutObject", cond: `"StringEquals":{"s3:object-lock-mode":"GOVERNANCE"}`, other: `"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}`, with: byDefault(locked, nil), without: byDefault(locked, nil)},
		{key: "s3:object-lock-remaining-retention-days", how: "default of the bucket", bucket: locked, action: "s3:PutObject", cond: `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"29"}`, with: byDefault(locked, nil), without: byDefault(locked, explicit)},
		{key: "s3:object-lock-retain-until-date", how: "default of the bucket", bucket: locked, action: "s3:PutObject", cond: `"DateGreaterThan":{"s3:object-lock-retain-until-date":"` + day.AddDate(0, 0, 20).UTC().Format(time.RFC3339) + `"}`, with: byDefault(locked, nil), without: byDefault(locked, explicit)},
		{key: "s3:object-lock-remaining-retention-days", how: "retention that DeleteObject bypasses", action: "s3:BypassGovernanceRetention", cond: days, with: bypass(60, one), without: bypass(2, one)},
		{key: "s3:object-lock-remaining-retention-days", how: "retention that DeleteObjects bypasses", action: "s3:BypassGovernanceRetention", cond: days, with: bypass(60, many), without: bypass(2, many)},
	}
}

// tagTrials are tags of requests in bodies and copies, and tags of objects as they are.
func tagTrials() []trial {
	const secret, keys = `"StringEquals":{"s3:RequestObjectTag/class":"secret"}`, `"ForAnyValue:StringLike":{"s3:RequestObjectTagKeys":"cl*"}`
	const existing = `"StringEquals":{"s3:ExistingObjectTag/class":"secret"}`
	tagging := func(key string) string {
		return `<Tagging><TagSet><Tag><Key>` + key + `</Key><Value>secret</Value></Tag></TagSet></Tagging>`
	}
	body := func(query, key string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			k, version := j.fresh(nil)
			return func() reply {
				return j.send("PUT", "/"+box+"/"+k+"?tagging"+strings.ReplaceAll(query, "VERSION", version), tagging(key), nil)
			}
		}
	}
	field := func(name, value string) func(*judge) func() reply {
		return now(func(j *judge) reply { return j.form(box, j.newKey(), map[string]string{name: value}, nil) })
	}
	copyOf := func(from string, h ...string) func(*judge) func() reply {
		return now(func(j *judge) reply {
			return j.send("PUT", "/"+box+"/"+j.newKey(), "", with(map[string]string{"x-amz-copy-source": src + "/" + from}, h...))
		})
	}
	partOf := func(from string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			path, _ := j.begin(box, j.newKey(), nil)
			return func() reply {
				return j.send("PUT", path+"&partNumber=2", "", map[string]string{"x-amz-copy-source": src + "/" + from})
			}
		}
	}
	all := []trial{
		{key: "s3:requestobjecttag/", how: "body of PutObjectTagging", action: "s3:PutObjectTagging", cond: secret, with: body("", "class"), without: body("", "other")},
		{key: "s3:requestobjecttag/", how: "body of PutObjectTagging of a version", action: "s3:PutObjectVersionTagging", cond: secret, with: body("&versionId=VERSION", "class"), without: body("&versionId=VERSION", "other")},
		{key: "s3:requestobjecttagkeys", how: "body of PutObjectTagging", action: "s3:PutObjectTagging", cond: keys, with: body("", "class"), without: body("", "other")},
		{key: "s3:requestobjecttag/", how: "form field tagging", action: "s3:PutObject", cond: secret, with: field("tagging", tagging("class")), without: field("tagging", tagging("other"))},
		{key: "s3:requestobjecttagkeys", how: "form field tagging", action: "s3:PutObjectTagging", cond: keys, with: field("tagging", tagging("class")), without: field("tagging", tagging("other"))},
		{key: "s3:requestobjecttag/", how: "source of a copy", action: "s3:PutObject", cond: secret, with: copyOf("secret"), without: copyOf("plain")},
		{key: "s3:requestobjecttagkeys", how: "source of a copy", action: "s3:PutObject", cond: keys, with: copyOf("secret"), without: copyOf("bare")},
		{key: "s3:requestobjecttag/", how: "source of a copy, whatever the header says", action: "s3:PutObject", cond: `"StringNotEquals":{"s3:RequestObjectTag/class":"plain"}`, with: copyOf("secret", "x-amz-tagging", "class=plain"), without: copyOf("plain", "x-amz-tagging", "class=secret")},
		{key: "s3:existingobjecttag/", how: "source of CopyObject", bucket: src, action: "s3:GetObject", cond: existing, with: copyOf("secret"), without: copyOf("plain")},
		{key: "s3:existingobjecttag/", how: "source of UploadPartCopy", bucket: src, action: "s3:GetObject", cond: existing, with: partOf("secret"), without: partOf("plain")},
	}
	for _, o := range []struct{ method, sub, action, body string }{
		{"GET", "", "s3:GetObject", ""}, {"HEAD", "", "s3:GetObject", ""}, {"GET", "tagging", "s3:GetObjectTagging", ""}, {"PUT", "tagging", "s3:PutObjectTagging", tagging("k")}, {"DELETE", "tagging", "s3:DeleteObjectTagging", ""},
		{"GET", "attributes", "s3:GetObject", ""}, {"GET", "acl", "s3:GetObjectAcl", ""}, {"PUT", "", "s3:PutObject", "body"}, {"DELETE", "", "s3:DeleteObject", ""},
	} {
		send := func(class string) func(*judge) func() reply {
			return func(j *judge) func() reply {
				key, _ := j.fresh(map[string]string{"x-amz-tagging": "class=" + class})
				return func() reply {
					return j.send(o.method, "/"+box+"/"+key+"?"+o.sub, o.body, map[string]string{"x-amz-object-attributes": "ETag"})
				}
			}
		}
		all = append(all, trial{key: "s3:existingobjecttag/", how: o.method + " " + o.sub, action: o.action, cond: existing, with: send("secret"), without: send("plain")})
	}
	many := func(class string) func(*judge) func() reply {
		return func(j *judge) func() reply {
			key, version := j.fresh(map[string]string{"x-amz-tagging": "class=" + class})
			if got := j.send("PUT", "/"+box+"/"+key, "newer", nil); got.status != http.StatusOK {
				j.Fatalf("%+v", got)
			}
			return func() reply {
				return j.deleteMany(box, "<Key>"+key+"</Key><VersionId>"+version+"</VersionId>", nil)
			}
		}
	}
	return append(all, trial{key: "s3:existingobjecttag/", how: "version in the body of DeleteObjects", action: "s3:DeleteObjectVersion", cond: existing, with: many("secret"), without: many("plain")})
}
