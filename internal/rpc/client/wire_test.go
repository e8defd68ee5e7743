package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"stele"
	"stele/entry"
)

// TestWire: calls travel as they did before there was a table, so that programs of two versions understand each other.
func TestWire(t *testing.T) {
	var came string
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		came = fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.URL.Query().Encode(), b)
		result := json.RawMessage("null")
		if r.URL.Path == "/v1/Hello" {
			result = json.RawMessage(`{"Protocol":1,"ID":"id","VKey":"vkey","Store":"/data"}`)
		}
		json.NewEncoder(w).Encode(map[string]any{"v": 1, "result": result}) //nolint:errcheck // the client tells
	}))
	t.Cleanup(ts.Close)
	c, err := Dial(t.Context(), ts.URL, entry.AccessKey{ID: "id", Secret: "secret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID() != "id" || c.Ledger().VKey() != "vkey" || c.Folder() != "/data" {
		t.Errorf("the greeting came as %+v", c.hello)
	}
	ctx, by := t.Context(), stele.Local()
	for want, call := range map[string]func() error{
		`POST /v1/Hello  null`: func() error { return c.greet(ctx) },
		`POST /v1/Keys  null`:  func() error { _, err := c.Keys().List(ctx); return err },
		`POST /v1/Put q=` + url.QueryEscape(`{"Bucket":"box","Key":"a b*~","Size":5,"If":{"Match":"","NoneMatch":"","ModifiedTime":null,"Size":null,"Entry":0,"Noncurrent":false}}`) + ` bytes`: func() error {
			_, err := c.Put(ctx, stele.PutRequest{Bucket: "box", Key: "a b*~", Body: strings.NewReader("bytes"), Size: 5})
			return err
		},
		`POST /v1/Consistency  [1,2]`:    func() error { _, err := c.Ledger().Consistency(ctx, 1, 2); return err },
		`POST /v1/ViewAt  "yesterday"`:   func() error { _, err := c.ViewAt(ctx, "yesterday"); return err },
		`POST /v1/RevokeKey  {"ID":"K"}`: func() error { _, err := c.Keys().Revoke(ctx, by, "K"); return err },
		`POST /v1/ConfirmKit  "a2l0"`:    func() error { return c.Keys().ConfirmKit(ctx, by, []byte("kit")) },
		`POST /v1/ConfirmShare  {"Of":{"Store":"s","Set":"t","Recipient":"age1","VKey":"v","Shares":5,"Any":3},"Index":2,"Proof":"p"}`: func() error {
			return c.Keys().ConfirmShare(ctx, by, stele.ShareOf{Store: "s", Set: "t", Recipient: "age1", VKey: "v", Shares: 5, Any: 3}, 2, "p")
		},
		`POST /v1/Learn  {"entry":3,"data":{"epoch":"2"}}`: func() error { return c.Learn(ctx, 3, map[string]string{"epoch": "2"}) },
		`POST /v1/RemoveTarget  {"Name":"nas"}`:            func() error { _, err := c.RemoveTarget(ctx, by, "nas", nil); return err },
		`GET /replica/state from=7&keyrings=0&wait=1 `:     func() error { _, err := c.ReplicaState(ctx, 7, 0, true); return err },
		`GET /replica/succession  `:                        func() error { _, err := c.Succession(ctx); return err },
		`POST /v1/PromoteStandby  "the primary burns"`:     func() error { _, err := c.PromoteStandby(ctx, "the primary burns"); return err },
		`POST /v1/Following  null`:                         func() error { _, err := c.Follows(ctx); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if came != want {
			t.Errorf("%s\nis wanted, and came\n%s", want, came)
		}
	}
}
