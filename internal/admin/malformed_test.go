package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"stele/internal/admin"
	"stele/internal/rpc"
	"stele/internal/s3api/doortest"
	"stele/internal/witness"
)

// malformed are bodies that are no argument of any call, or arguments that mean nothing.
var malformed = []string{
	"", "?", "{", "[]", "{}", `"x"`, "1e999", "-1", "true", "null", "[1,2,3]", `[18446744073709551615,18446744073709551615]`, `[5,3]`, `[-1,2]`, strings.Repeat("[", 20000), "\xff\xfe", `"\ud800"`, `{"x":`,
	`{"entry":18446744073709551615,"data":{"epoch":"2"}}`, `{"entry":-1}`, `{"entry":3,"data":{"epoch":"x","cut":"3"}}`, `{"entry":3,"data":{"epoch":"2","cut":"3","vkey":"x","parent":"y","consent":"z"}}`,
	`{"entry":0,"data":{"epoch":"2","cut":"0"}}`, `{"entry":9007199254740993,"data":{"epoch":"2","cut":"9007199254740993","proof":"!"}}`, `{"entry":99,"data":{"epoch":"2","cut":"99"}}`,
	`{"Entry":18446744073709551615,"Off":-5,"N":-9}`, `{"Entry":1,"Off":9223372036854775807,"N":9223372036854775807}`, `{"Entry":0}`,
	`{"Bucket":"","Key":""}`, `{"Bucket":"../x","Key":"\u0000"}`, `{"Bucket":"nobody-made-it","Key":"k"}`, `{"Bucket":"box","Key":"` + strings.Repeat("k", 5000) + `"}`, `{"Bucket":"box","Key":"k","VersionID":"\u0000zz"}`,
	`{"Bucket":"box","Key":"k","At":{"Size":18446744073709551615}}`, `{"Bucket":"box","At":{"Size":99999}}`, `{"Bucket":"box","Max":-5}`, `{"Bucket":"box","AfterID":"zz","After":"k"}`, `{"Bucket":"box","Versioning":"perhaps"}`,
	`{"Bucket":"box","Default":{"Mode":"FOREVER","Days":-3}}`, `{"From":99999,"To":3}`, `{"From":18446744073709551615}`, `{"Types":["nothing"]}`, `{"Since":"yesterday"}`,
	`{"Name":"","URL":""}`, `{"Name":"../..","URL":"dir:///etc"}`, `{"Name":"x","URL":"%zz"}`, `{"Name":"x","URL":"s3://"}`, `{"Spec":{"Name":"x","URL":"dir://x"},"Kit":"AAAA"}`, `{"Name":"x","Recipient":"age1nothing"}`, `{"Name":"` + strings.Repeat("n", 5000) + `"}`,
	`{"Role":"king"}`, `{"Role":"admin","Scope":["*"]}`, `{"Role":"admin","Rate":-1}`, `{"ID":"NOBODY"}`, `{"Name":"","At":{"Size":18446744073709551615}}`, `"@99999999999999999999"`, `"tomorrow"`, `"box--at-"`, `"box--at-e18446744073709551615"`, `"!!!"`,
	`{"Of":{"Store":"x","Set":"y","Shares":3,"Any":2},"Index":9}`, `{"Of":{"Store":"00112233445566778899aabbccddeeff","Set":"0011223344556677","Shares":255,"Any":2},"Verifiers":["z"]}`, `{"Of":{"Shares":-1,"Any":-1}}`,
	`{"Deep":"yes"}`, `{"Bucket":"box","Prefix":"x","At":{"Size":99999},"To":"nobody"}`, `{"Target":"nobody"}`, `{"Target":"nobody","Sample":-1}`,
}

// queries are arguments of pages, each malformed or out of range for one of them.
var queries = []string{"", "from=", "from=x", "from=-1", "from=99999999999999999999", "from=9007199254740991", "from=0&to=x", "from=5&to=2", "from=3&to=9007199254740991", "index=x", "index=99999&size=5", "index=0&size=0", "index=0&size=99999",
	"folder=", "folder=..%2F", "folder=%2Fetc", "folder=packs%2F%00", "name=x&off=0", "name=..%2F..%2Fetc%2Fpasswd&off=0", "name=identity&off=0", "name=root.key&off=0", "name=keyring%2F000001&off=9007199254740991", "name=&off=-1", "off=x", "from=0&keyrings=x",
	"from=0&me=http%3A%2F%2Fx&proof=x", "from=0&me=%00&proof=" + strings.Repeat("x", 5000), "q=%7B", "q=" + url.QueryEscape(`{"Bucket":"box","Key":"","Size":-5}`), "q=" + url.QueryEscape(`{"Bucket":"box","Key":"k","Size":9223372036854775807}`),
	"q=" + url.QueryEscape(`{"Bucket":"box","Key":"k","Lock":{"Mode":"FOREVER"}}`)}

var tiles = []string{"", "x", "0/000", "0/x999/999", "entries/000.p/999", "0/-1", "99/000", "0/000.p/0", "..%2F..%2Fidentity", "%00", "entries/" + strings.Repeat("x999/", 50) + "999"}

// TestMalformedIsToldApart: whatever a caller who may do everything sends to whatever route, the answer is that he asked for nonsense, with a reason, and never that the server failed; no route ends in a panic.
func TestMalformedIsToldApart(t *testing.T) {
	s := newStore(t)
	s.CreateBucket(t.Context(), by, "box", false) //nolint:errcheck // put fails below
	put(t, s, "box", "k", "bytes")
	w, err := witness.Open(witness.Options{Key: filepath.Join(t.TempDir(), "key"), Folder: filepath.Join(t.TempDir(), "logs"), Logs: []string{s.Ledger().VKey()}})
	if err != nil {
		t.Fatal(err)
	}
	opt := admin.Options{Store: s, Authenticate: authenticate(s), Metrics: admin.NewMetrics(s), Follower: noFollower{}, Witness: admin.Witness(w, nil, slog.New(slog.DiscardHandler))}
	port := httptest.NewServer(admin.NewServer(opt).Port())
	t.Cleanup(port.Close)
	keyless := httptest.NewServer(admin.Keyless(noFollower{}, true, opt.Witness))
	t.Cleanup(keyless.Close)
	root := doortest.Key{ID: s.Keys().Root().ID, Secret: s.Keys().Root().Secret, Service: rpc.Service}
	send := func(server, method, target, body string) {
		t.Helper()
		r, err := http.NewRequest(method, server+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		root.Sign(r, doortest.Sum([]byte(body)))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s %.100s with %.100q: %v", method, target, body, err)
			return
		}
		defer res.Body.Close()
		reply, err := io.ReadAll(res.Body)
		if strings.HasPrefix(target, "/v1/Verify") || err == nil && res.StatusCode < 400 {
			return
		}
		why := string(reply)
		var told struct{ Error struct{ Message string } }
		if json.Unmarshal(reply, &told) == nil {
			why = told.Error.Message
		}
		if err != nil || res.StatusCode >= 500 && res.StatusCode != http.StatusInsufficientStorage || strings.TrimSpace(why) == "" {
			t.Errorf("%s %.100s with %.100q: %d %.300s %v", method, target, body, res.StatusCode, reply, err)
		}
	}
	for _, pattern := range admin.Routes(opt) {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "POST", pattern+"Nothing"
		}
		switch {
		case path == "/ledger/tile/":
			for _, tile := range tiles {
				send(port.URL, method, path+tile, "")
			}
		case method == "GET", path == rpc.Put.Row().Path():
			for _, q := range queries {
				send(port.URL, method, path+"?"+q, "")
			}
		default:
			for _, body := range malformed {
				send(port.URL, method, path, body)
			}
		}
	}
	for _, path := range []string{"/add-checkpoint", "/v1/Following", "/v1/Nothing"} {
		for _, body := range append(malformed, "old 0\n\nx\n", "old 5\nAAAA\n\n", "old 18446744073709551615\n\n"+string(s.Ledger().Checkpoint()), fmt.Sprintf("old 3\n%s\n\n%s", strings.Repeat("A", 43)+"=", s.Ledger().Checkpoint()), "old 0\n\n"+strings.Repeat("x", 70<<10)) {
			send(keyless.URL, "POST", path, body)
			if path == "/add-checkpoint" {
				send(port.URL, "POST", path, body)
			}
		}
	}
}
