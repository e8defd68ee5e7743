package s3api_test

import (
	"strings"
	"testing"

	"stele"
)

const secretTag = `"StringEquals":{"s3:ExistingObjectTag/class":"secret"}`

const taggedSecret = `<Tagging><TagSet><Tag><Key>class</Key><Value>secret</Value></Tag></TagSet></Tagging>`

// expect fails the test unless a reply is denied, or is not.
func (j *judge) expect(denied bool, what string, got reply) {
	j.Helper()
	if got.denied() != denied || !denied && got.status >= 300 {
		j.Errorf("%s: denied is %v, want %v: %d %s", what, got.denied(), denied, got.status, got.body)
	}
}

func TestViewIsJudgedByTodaysTagsOfTheVersion(t *testing.T) {
	j := openJudge(t)
	key, version := j.fresh(nil)
	path := "/" + box + "/" + key
	view := "/" + j.view(box) + "/" + key
	if got := j.send("PUT", path+"?tagging", taggedSecret, nil); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	reads := func(denied bool, what string) {
		t.Helper()
		j.expect(denied, what+": GET", j.send("GET", view, "", nil))
		j.expect(denied, what+": HEAD", j.send("HEAD", view, "", nil))
		j.expect(denied, what+": GET of the version", j.send("GET", view+"?versionId="+version, "", nil))
		j.expect(denied, what+": copy", j.send("PUT", "/"+src+"/"+j.newKey(), "", map[string]string{"x-amz-copy-source": view}))
		part, _ := j.begin(src, j.newKey(), nil)
		j.expect(denied, what+": copy of a part", j.send("PUT", part+"&partNumber=2", "", map[string]string{"x-amz-copy-source": view}))
	}
	reads(false, "without a policy")
	for _, action := range []string{"s3:GetObject", "s3:GetObjectVersion"} {
		j.put(box, deny(box, action, secretTag))
		reads(true, "tagged after the view, Deny "+action)
	}
	if got := j.send("DELETE", path+"?versionId="+version, "", nil); got.status != 204 {
		t.Fatalf("%+v", got)
	}
	reads(true, "hidden after the view")
	j.put(box, "")
	reads(false, "without a policy again")
}

func TestViewIsJudgedByWhatTodayDenies(t *testing.T) {
	j := openJudge(t)
	j.put(box, deny(box, "s3:GetObject", `"IpAddress":{"aws:SourceIp":"127.0.0.1"}`))
	past := j.view(box) // when reading was denied
	j.put(box, "")
	j.expect(false, "denied then and not today", j.send("GET", "/"+past+"/plain", "", nil))
	view := "/" + j.view(box)
	attributes := map[string]string{"x-amz-object-attributes": "ETag"}
	for _, c := range []struct {
		path    string
		header  map[string]string
		actions string
	}{
		{"/plain", nil, "s3:GetObject s3:GetObjectVersion"},
		{"/plain?versionId=" + j.versions[box+"/plain"], nil, "s3:GetObject s3:GetObjectVersion"},
		{"/plain?tagging", nil, "s3:GetObjectTagging s3:GetObjectVersionTagging"},
		{"/plain?acl", nil, "s3:GetObjectAcl s3:GetObjectVersionAcl"},
		{"/plain?attributes", attributes, "s3:GetObject s3:GetObjectVersion s3:GetObjectAttributes s3:GetObjectVersionAttributes"},
		{"?list-type=2", nil, "s3:ListBucket s3:ListBucketVersions"},
		{"?versions", nil, "s3:ListBucket s3:ListBucketVersions"},
		{"?prefix=p", nil, "s3:ListBucket s3:ListBucketVersions"},
	} {
		for _, action := range strings.Fields(c.actions) {
			j.put(box, deny(box, action, `"IpAddress":{"aws:SourceIp":"127.0.0.1"}`))
			j.expect(true, "GET "+c.path+" under Deny "+action, j.send("GET", view+c.path, "", c.header))
			j.put(box, "")
			j.expect(false, "GET "+c.path, j.send("GET", view+c.path, "", c.header))
		}
	}
	key, _ := j.fresh(map[string]string{"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": inAYear})
	head := "/" + j.view(box) + "/" + key
	if got := j.send("HEAD", head, "", nil); got.header.Get("X-Amz-Object-Lock-Mode") == "" {
		t.Errorf("the lock is not shown: %+v", got)
	}
	j.put(box, deny(box, "s3:GetObjectRetention", `"IpAddress":{"aws:SourceIp":"127.0.0.1"}`))
	if got := j.send("HEAD", head, "", nil); got.status != 200 || got.header.Get("X-Amz-Object-Lock-Mode") != "" {
		t.Errorf("the lock is shown to whom today's policy denies it: %+v", got)
	}
}

func TestCopySourceIsJudgedByItsVersion(t *testing.T) {
	j := openJudge(t)
	old := j.versions[src+"/secret"]
	j.ok(second(j.store.Put(t.Context(), stele.PutRequest{By: stele.Local(), Bucket: src, Key: "secret", Body: strings.NewReader("new"), Size: 3})))
	latest, err := j.store.Head(t.Context(), stele.Place{Bucket: src, Key: "secret"})
	j.ok(err)
	j.put(src, deny(src, "s3:GetObject*", secretTag))
	for _, c := range []struct {
		source string
		denied bool
	}{{"secret", false}, {"secret?versionId=" + latest.ID, false}, {"secret?versionId=" + old, true}} {
		h := map[string]string{"x-amz-copy-source": src + "/" + c.source}
		j.expect(c.denied, "copy of "+c.source, j.send("PUT", "/"+box+"/"+j.newKey(), "", h))
		path, _ := j.begin(box, j.newKey(), nil)
		j.expect(c.denied, "copy of a part of "+c.source, j.send("PUT", path+"&partNumber=2", "", h))
	}
	j.put(src, deny(src, "s3:GetObjectTagging", secretTag))
	h := map[string]string{"x-amz-copy-source": box + "/secret"}
	j.expect(false, "copy of tags that may be read", j.send("PUT", "/"+src+"/"+j.newKey(), "", h))
	j.put(box, deny(box, "s3:GetObjectTagging", secretTag))
	j.expect(true, "copy of tags that must not be read", j.send("PUT", "/"+src+"/"+j.newKey(), "", h))
	h["x-amz-tagging-directive"] = "REPLACE"
	j.expect(false, "copy without its tags", j.send("PUT", "/"+src+"/"+j.newKey(), "", h))
}

func second[T any](_ T, err error) error { return err }

// TestPolicyWaitsForTheBody: a condition on what is not read yet neither denies nor allows before it is read.
func TestPolicyWaitsForTheBody(t *testing.T) {
	j := openJudge(t)
	key, _ := j.fresh(nil)
	path := "/" + box + "/" + key
	tagging := func(value string) string { return strings.Replace(taggedSecret, "secret", value, 1) }
	j.put(box, deny(box, "s3:PutObjectTagging", `"StringNotEquals":{"s3:RequestObjectTag/class":"open"}`))
	j.expect(false, "the tag that must be", j.send("PUT", path+"?tagging", tagging("open"), nil))
	j.expect(true, "another tag", j.send("PUT", path+"?tagging", taggedSecret, nil))
	j.put(box, deny(box, "s3:PutObjectLegalHold", `"StringNotEquals":{"s3:object-lock-legal-hold":"ON"}`))
	j.expect(false, "a hold", j.send("PUT", path+"?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>", nil))
	j.expect(true, "no hold", j.send("PUT", path+"?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>", nil))
	j.put(box, deny(box, "s3:PutObjectRetention", `"StringNotEquals":{"s3:object-lock-mode":"COMPLIANCE"}`))
	retention := func(mode string) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + inAYear + "</RetainUntilDate></Retention>"
	}
	j.expect(true, "GOVERNANCE", j.send("PUT", path+"?retention", retention("GOVERNANCE"), nil))
	j.expect(false, "COMPLIANCE", j.send("PUT", path+"?retention", retention("COMPLIANCE"), nil))
	j.put(box, deny(box, "s3:PutObject", `"Null":{"s3:RequestObjectTagKeys":"true"}`))
	j.expect(false, "copy with tags", j.send("PUT", "/"+box+"/"+j.newKey(), "", map[string]string{"x-amz-copy-source": src + "/secret"}))
	j.expect(true, "copy without tags", j.send("PUT", "/"+box+"/"+j.newKey(), "", map[string]string{"x-amz-copy-source": src + "/bare"}))

	// What only a policy allows is allowed by what the body says, and by nothing before.
	j.put(box, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::`+box+`/*","Condition":{"StringEquals":{"s3:RequestObjectTag/class":"open"}}}}`)
	j.expect(false, "anonymous, the tag that is allowed", j.anonymous("PUT", path+"?tagging", tagging("open"), nil))
	j.expect(true, "anonymous, another tag", j.anonymous("PUT", path+"?tagging", taggedSecret, nil))
}

// TestPolicyOfAnUpload: what a policy demands of the beginning holds for every part and for the completion, also when it came in between.
func TestPolicyOfAnUpload(t *testing.T) {
	j := openJudge(t)
	for header, value := range map[string]string{"x-amz-acl": "bucket-owner-full-control", "x-amz-server-side-encryption": "AES256", "x-amz-storage-class": "STANDARD", "x-amz-tagging": "class=open"} {
		said := `"StringNotEquals":{"s3:` + header + `":"` + value + `"}`
		if header == "x-amz-tagging" {
			said = `"StringNotEquals":{"s3:RequestObjectTag/class":"open"}`
		}
		early, etag := j.begin(box, j.newKey(), nil)
		j.put(box, deny(box, "s3:PutObject", said))
		j.expect(true, header+": a beginning without", j.send("POST", "/"+box+"/"+j.newKey()+"?uploads", "", nil))
		j.expect(true, header+": a part of an upload begun before", j.send("PUT", early+"&partNumber=2", "part", map[string]string{header: value}))
		j.expect(true, header+": its completion", j.send("POST", early, completion(etag), map[string]string{header: value}))
		key := j.newKey()
		path, etag := j.begin(box, key, map[string]string{header: value})
		j.expect(false, header+": completion", j.send("POST", path, completion(etag), nil))
		j.expect(false, header+": completion again", j.send("POST", path, completion(etag), nil))
		v, err := j.store.Head(t.Context(), stele.Place{Bucket: box, Key: key})
		j.ok(err)
		if v.Headers[header] != "" {
			t.Errorf("the object has kept %s, which is its upload's", header)
		}
		j.put(box, "")
	}
	// The policy by which AWS has conditional writes enforced.
	j.put(box, deny(box, "s3:PutObject", `"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}`))
	path, etag := j.begin(box, j.newKey(), nil)
	j.expect(true, "completion without a condition", j.send("POST", path, completion(etag), nil))
	j.expect(false, "completion with one", j.send("POST", path, completion(etag), map[string]string{"If-None-Match": "*"}))
	j.expect(true, "put without a condition", j.send("PUT", "/"+box+"/"+j.newKey(), "b", nil))
	j.expect(false, "put with one", j.send("PUT", "/"+box+"/"+j.newKey(), "b", map[string]string{"If-None-Match": "*"}))
	j.expect(true, "a form, which can have none", j.form(box, j.newKey(), nil, map[string]string{"If-None-Match": "*"}))
}

// TestFormIsJudgedByItsFields: the headers of the request that carries a form say nothing of the object.
func TestFormIsJudgedByItsFields(t *testing.T) {
	j := openJudge(t)
	j.put(box, deny(box, "s3:PutObject", `"StringNotEquals":{"s3:x-amz-acl":"private"}`))
	acl := map[string]string{"x-amz-acl": "private"}
	j.expect(false, "field", j.form(box, j.newKey(), acl, nil))
	j.expect(true, "header", j.form(box, j.newKey(), nil, acl))
	if got := j.form(box, j.newKey(), map[string]string{"x-amz-acl": "private", "acl": "bucket-owner-full-control"}, nil); got.status != 400 || !strings.Contains(got.body, "either the field acl or the field x-amz-acl") {
		t.Errorf("a form with two ACLs: %+v", got)
	}
	j.put(box, deny(box, "s3:PutObject", `"StringNotEquals":{"s3:RequestObjectTag/class":"open"}`))
	j.expect(false, "tagging, an XML document", j.form(box, j.newKey(), map[string]string{"tagging": strings.Replace(taggedSecret, "secret", "open", 1)}, nil))
	j.expect(true, "two taggings, of which the document counts", j.form(box, j.newKey(), map[string]string{"tagging": taggedSecret, "x-amz-tagging": "class=open"}, nil))
}

// TestDeleteObjectsIsJudgedByKey: each key of a request is judged by its own name, version and tags.
func TestDeleteObjectsIsJudgedByKey(t *testing.T) {
	j := openJudge(t)
	open, _ := j.fresh(map[string]string{"x-amz-tagging": "class=open"})
	secret, version := j.fresh(map[string]string{"x-amz-tagging": "class=secret"})
	j.put(box, deny(box, "s3:DeleteObject*", secretTag))
	got := j.deleteMany(box, "<Key>"+open+"</Key></Object><Object><Key>"+secret+"</Key></Object><Object><Key>"+secret+"</Key><VersionId>"+version+"</VersionId>", map[string]string{"If-Match": "*"})
	if got.status != 200 || strings.Count(got.body, "<Code>AccessDenied</Code>") != 2 || strings.Count(got.body, "<Deleted>") != 1 {
		t.Errorf("%+v", got)
	}
}

// TestETagsWithAndWithoutQuotes: a policy may name an entity tag either way, and so may the client.
func TestETagsWithAndWithoutQuotes(t *testing.T) {
	j := openJudge(t)
	bare := etagOf("body")
	for _, named := range []string{bare, `\"` + bare + `\"`} {
		for _, sent := range []string{bare, `"` + bare + `"`} {
			key, _ := j.fresh(nil)
			j.put(box, deny(box, "s3:DeleteObject", `"StringEquals":{"s3:if-match":"`+named+`"}`))
			what := "a Deny of " + named + ", sent " + sent
			j.expect(true, what, j.send("DELETE", "/"+box+"/"+key, "", map[string]string{"If-Match": sent}))
			got := j.deleteMany(box, "<Key>"+key+"</Key><ETag>"+sent+"</ETag>", nil)
			if strings.Count(got.body, "<Code>AccessDenied</Code>") != 1 {
				t.Errorf("%s with DeleteObjects: %+v", what, got)
			}
			j.put(box, "")
		}
	}
}

// TestIfMatchIsOneTag: what a policy sees of If-Match is what the commit holds to. A tag that is empty, weak, or one of several gets nobody past a policy that demands a condition or forbids one.
func TestIfMatchIsOneTag(t *testing.T) {
	j := openJudge(t)
	bare := etagOf("body")
	demand := func(action string) string { return deny(box, action, `"Null":{"s3:if-match":"true"}`) }
	for _, empty := range []string{`""`, `""""`} {
		key, _ := j.fresh(nil)
		path := "/" + box + "/" + key
		for method, action := range map[string]string{"PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"} {
			j.put(box, demand(action))
			if got := j.send(method, path, "x", map[string]string{"If-Match": empty}); got.status != 412 {
				t.Errorf("%s with If-Match %s: %+v", method, empty, got)
			}
		}
		if got := j.deleteMany(box, "<Key>"+key+"</Key><ETag>"+empty+"</ETag>", nil); !strings.Contains(got.body, "<Code>PreconditionFailed</Code>") {
			t.Errorf("DeleteObjects with the tag %s: %+v", empty, got)
		}
		j.put(box, "")
		if got := j.send("GET", path, "", nil); got.status != 200 || got.body != "body" {
			t.Errorf("after If-Match %s: %+v", empty, got)
		}
	}
	key, _ := j.fresh(nil)
	path := "/" + box + "/" + key
	j.put(box, deny(box, "s3:GetObject", `"Bool":{"aws:SecureTransport":"true"}`)) // whatever it is about
	for _, list := range []string{`"x","` + bare + `"`, bare + ", x"} {
		for _, method := range []string{"PUT", "DELETE"} {
			if got := j.send(method, path, "x", map[string]string{"If-Match": list}); got.status != 400 {
				t.Errorf("%s with If-Match %s: %+v", method, list, got)
			}
		}
	}
	j.put(box, deny(box, "s3:DeleteObject", `"StringEquals":{"s3:if-match":"`+bare+`"}`))
	j.expect(true, "a Deny of a tag that comes as a weak one", j.send("DELETE", path, "", map[string]string{"If-Match": `W/"` + bare + `"`}))
}

// TestEmptyListingArgumentsAreNone: a limit or a delimiter that is sent empty is none, for the listing as for the policy: it gets nobody past a Deny that absence fires.
func TestEmptyListingArgumentsAreNone(t *testing.T) {
	j := openJudge(t)
	for _, c := range []struct{ cond, list string }{
		{`"NumericGreaterThan":{"s3:max-keys":"1"},"Null":{"s3:max-keys":"false"}`, ""},
		{`"Null":{"s3:max-keys":"true"}`, "max-keys="},
		{`"Null":{"s3:max-keys":"true"}`, "list-type=2&max-keys="},
		{`"NumericGreaterThanIfExists":{"s3:max-keys":"1"}`, "max-keys="},
		{`"Null":{"s3:delimiter":"true"}`, "delimiter="},
		{`"StringNotEquals":{"s3:delimiter":"/"}`, "delimiter="},
	} {
		j.put(box, deny(box, "s3:ListBucket", c.cond))
		want := 403
		if c.list == "" {
			want = 200 // no limit is asked for, and this Deny is about one that is
		}
		if got := j.send("GET", "/"+box+"?"+c.list, "", nil); got.status != want {
			t.Errorf("%s under a Deny if %s: %d, want %d", c.list, c.cond, got.status, want)
		}
	}
}
