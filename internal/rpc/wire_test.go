package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"stele/entry"
)

// TestEntryLine: an entry that travelled as a line of JSON is the one that was sent.
func TestEntryLine(t *testing.T) {
	e := &entry.Entry{Index: 7, Time: time.Date(2026, 11, 22, 16, 3, 12, 123456000, time.UTC), Type: entry.ObjectPut, Private: entry.Private{Bucket: "b", Key: "k\x00\u2028", Actor: "local", Inc: 1}}
	copy(e.Salt[:], "0123456789abcdef")
	var buf bytes.Buffer
	if err := NewLineEncoder(&buf).Encode(LineOf(e)); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	var l EntryLine
	if err := json.Unmarshal(b, &l); err != nil {
		t.Fatal(err)
	}
	back, err := l.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if !back.Time.Equal(e.Time) || back.Private.Key != e.Private.Key || back.Salt != e.Salt {
		t.Errorf("%s came back as %+v", b, back)
	}
	if !strings.Contains(string(b), hex.EncodeToString(e.Salt[:])) {
		t.Error("no salt")
	}
}

// TestNone: a call without an argument says null, as it always did, and whatever comes in its place is ignored.
func TestNone(t *testing.T) {
	b, err := json.Marshal(None{})
	if err != nil || string(b) != "null" {
		t.Errorf("%s, %v", b, err)
	}
	for _, text := range []string{"null", "{}", "[1]", `"x"`, "3"} {
		if err := json.Unmarshal([]byte(text), new(None)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
