package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
)

// TestStrangersLearnNoNames: who has no right to a bucket gets the same answer whether it is there or not, at whatever moment, in whatever view, and whatever else is wrong with the request. So nobody finds out
// which names are taken, which views are pinned, or how many entries the ledger has.
func TestStrangersLearnNoNames(t *testing.T) {
	d, elsewhere := openToStrangers(t, "taken")
	d.put(d.aws("", ""), "taken", "k", "x")
	_, err := d.store.Pin(d.Context(), stele.Local(), "mypin", stele.View{})
	d.ok(err)
	var names []string
	for _, b := range []string{"taken", "free"} {
		names = append(names, b)
		for _, moment := range []string{"e1", fmt.Sprint("e", d.store.Ledger().Size()), "e999999", "mypin", "nopin", "20010101t000000z", "20990101t000000z", "20261399t000000z"} {
			names = append(names, b+"--at-"+moment)
		}
	}
	for _, by := range []struct {
		who string
		key entry.AccessKey
	}{{"nobody", entry.AccessKey{}}, {"a key of another bucket", elsewhere}} {
		s := stranger{d, by.who, by.key, names}
		for _, o := range s3api.Operations() {
			s.asks(o)
		}
	}
	copies := stranger{d, "a copy by a key of another bucket", elsewhere, names}
	for _, query := range []string{"", "?versionId=x", "?versionId=0123456789abcdef0123456789abcdef"} {
		copies.same("a source "+query, func(name string) (method, target, body string, headers []string) {
			return "PUT", "/mine/copy", "", []string{"x-amz-copy-source: /" + name + "/k" + query}
		})
	}
}

// TestPreflightsTellNothingOfThePast: a preflight needs no key, so its answer about a view is that of the bucket as it is today, whether there is such a view or not. A bucket that is gone is answered as
// one that never was. Nor does a page that the owner has ceased to trust read views.
func TestPreflightsTellNothingOfThePast(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	for _, b := range []string{"taken", "gone", "other"} {
		d.bucket(b, false)
		_, err := d.store.SetSetting(d.Context(), stele.Local(), b, stele.SettingCORS, `<CORSConfiguration><CORSRule><AllowedOrigin>http://then</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`)
		d.ok(err)
	}
	_, err := d.store.Pin(d.Context(), stele.Local(), "mypin", stele.View{})
	d.ok(err)
	then := d.store.Ledger().Size()
	_, err = d.store.SetSetting(d.Context(), stele.Local(), "taken", stele.SettingCORS, `<CORSConfiguration><CORSRule><AllowedOrigin>http://now</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`)
	d.ok(err)
	_, err = d.store.DeleteBucket(d.Context(), stele.Local(), "gone")
	d.ok(err)
	ask := func(bucket, origin string) string {
		res := d.by(entry.AccessKey{})("OPTIONS", "/"+bucket+"/k", "", "Origin: "+origin, "Access-Control-Request-Method: GET")
		message, _, _ := strings.Cut(string(res.Body), "<RequestId>")
		return fmt.Sprint(res.Status, strings.ReplaceAll(message, bucket, ""))
	}
	for _, origin := range []string{"http://then", "http://now", "http://x"} {
		never := ask("free", origin)
		for _, moment := range []string{"", "e1", fmt.Sprint("e", then), "e999999", "mypin", "nopin", "20010101t000000z", "20990101t000000z", "20261399t000000z"} {
			view := strings.TrimSuffix("--at-"+moment, "--at-")
			if got, want := ask("taken"+view, origin), ask("taken", origin); got != want {
				t.Errorf("taken%s for %s: %s, want %s", view, origin, got, want)
			}
			if got := ask("gone"+view, origin); got != never {
				t.Errorf("gone%s for %s: %s, want %s", view, origin, got, never)
			}
		}
	}
	if !strings.HasPrefix(ask("taken", "http://now"), "200") || strings.HasPrefix(ask("taken", "http://then"), "200") {
		t.Error("today's rules do not count")
	}
	res := d.by(entry.AccessKey{ID: rootID, Secret: rootSecret})("GET", fmt.Sprint("/taken--at-e", then), "", "Origin: http://then")
	if res.Status != 200 || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a view for a page of then: %+v", res)
	}
}

// stranger has no right to any of the names.
type stranger struct {
	*door
	who   string
	key   entry.AccessKey
	names []string
}

// asks tries an operation on each of the names, rightly and in each way that is wrong.
func (s stranger) asks(o s3api.Operation) {
	if !o.Bucket || o.Form && s.key.ID != "" { // a form bears its signature in its fields
		return
	}
	path, queries := "", []string{o.Query}
	if o.Key {
		path = "/k"
	}
	for _, more := range []string{"versionId=x", "versionId=0123456789abcdef0123456789abcdef", "max-keys=x", "partNumber=x", "encoding-type=x"} {
		queries = append(queries, strings.TrimPrefix(o.Query+"&"+more, "&"))
	}
	headers := [][]string{nil, {"x-amz-expected-bucket-owner: nobody"}, {"Origin: http://x", "Access-Control-Request-Method: GET"}, {"x-amz-storage-class: NONE", "x-amz-tagging: %", "x-amz-object-lock-mode: NONE"}}
	if o.Copies {
		for i := range headers {
			headers[i] = append(headers[i], "x-amz-copy-source: /mine/k")
		}
	}
	bodies := []string{""}
	if o.Form {
		queries, bodies = queries[:1], nil
		for _, field := range []string{"x-ignore-=", "acl=private", "tagging=<x", "x-amz-meta-a b=x", "x-amz-storage-class=NONE"} {
			name, value, _ := strings.Cut(field, "=")
			bodies = append(bodies, "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"x-amz-acl\"\r\n\r\nprivate\r\n--b\r\nContent-Disposition: form-data; name=\""+name+
				"\"\r\n\r\n"+value+"\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n")
		}
		for i := range headers {
			headers[i] = append(headers[i], "Content-Type: multipart/form-data; boundary=b")
		}
	}
	for _, query := range queries {
		for _, h := range headers {
			for _, body := range bodies {
				s.same(fmt.Sprintf("%s ?%s %v %.300s", o.Name, query, h, body), func(name string) (string, string, string, []string) {
					return o.Method, "/" + name + path + "?" + query, body, h
				})
			}
		}
	}
}

// same fails the test unless the answer is the same for each of the names.
func (s stranger) same(what string, request func(name string) (method, target, body string, headers []string)) {
	s.Helper()
	first := ""
	for _, name := range s.names {
		method, target, body, headers := request(name)
		res := s.by(s.key)(method, target, body, headers...)
		answer := fmt.Sprint(res.Status, " ", res.Code())
		if first == "" {
			first = answer
		}
		if answer != first || res.Status < 300 {
			s.Errorf("%s: %s of %s: %s, and %s of %s", s.who, what, s.names[0], first, answer, name)
			return
		}
	}
}
