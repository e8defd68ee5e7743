package entry

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

var epoch = time.Date(2026, 11, 22, 16, 3, 12, 123456000, time.UTC)

func sum(b byte) (h Hash) {
	for i := range h {
		h[i] = b + byte(i)
	}
	return h
}

func body(kind BodyKind) *Body {
	b := &Body{Kind: kind, Ref: ID(sum(16)), SHA256: sum(32), Size: 4096}
	copy(b.MD5[:], "0123456789abcdef")
	return b
}

// put is what a typical PUT records.
func put() Private {
	return Private{
		Actor: "STELEKEY000000000001", Address: "192.0.2.7", Body: body(BodyChunk), Bucket: "backups", Inc: 3,
		Checksum: &Checksum{Algorithm: "CRC64NVME", Kind: "FULL_OBJECT", Value: "jSnVw/bqjr4="},
		Headers:  map[string]string{"content-type": "application/octet-stream"},
		Key:      "hosts/web-1/2026/11/22/part-000017.bin", Meta: map[string]string{"mtime": "1763827392.123456"},
		Request: "1B9F0A6C2D3E4F50",
	}
}

// full has every field set.
func full() Private {
	return Private{
		Access: &AccessKey{ID: "K1", Rate: 20, Role: "append", Scope: []string{"b/p", "a"}},
		Actor:  "a", Address: "::1", Body: body(BodyManifest), Bucket: "bucket", Bypass: true,
		Checksum: &Checksum{Algorithm: "SHA1", Kind: "COMPOSITE", Value: "x-2"},
		Clock:    &Clock{Boot: "b00t", Jumped: epoch, Mono: 1, Run: epoch.Add(time.Second), Spent: 2, Until: MaxInt}, Data: map[string]string{"z": "", "a": "b"},
		Doc: body(BodyChunk), ETag: "e-1", Headers: map[string]string{"content-type": "text/plain"}, Inc: MaxInt,
		Key: "k/\x00\x1f\"\\\b\t\n\f\r\x7f<&>é\u2028\U0001F600", Lock: &Lock{Hold: true, Mode: "COMPLIANCE", Until: epoch},
		Marker: true, Meta: map[string]string{"\ue000": "1", "\U0001F600": "2", "a": "3"}, Name: "n", Null: true,
		Pack: &Pack{Name: "p-1", SHA256: sum(1), Size: 7}, Part: MaxParts, Reason: "why", Request: "r", Secret: "c2VhbGVk",
		Tags: map[string]string{"t": "u"}, Target: 12, Upload: "up", Value: "v", Wall: epoch.Add(time.Hour),
	}
}

// examples has one private part for every type; they are the golden files.
func examples() map[Type]Private {
	object := func() Private {
		return Private{Actor: "K1", Address: "192.0.2.7", Bucket: "b", Inc: 3, Key: "k", Request: "r1"}
	}
	with := func(change func(*Private)) Private {
		p := object()
		change(&p)
		return p
	}
	local := func(change func(*Private)) Private {
		p := Private{Actor: "local"}
		change(&p)
		return p
	}
	return map[Type]Private{
		StoreInit:       local(func(p *Private) { p.Data = map[string]string{"origin": "4f2a/0", "signer": "4f2a/0+1b2c3d4e+AQ=="} }),
		EpochBegin:      local(func(p *Private) { p.Data = map[string]string{"parent": "4f2a/0\n1\nx\n", "reason": "promote"} }),
		ObjectPut:       put(),
		ObjectHide:      with(func(p *Private) { p.Marker = true }),
		ObjectRetention: with(func(p *Private) { p.Target, p.Lock = 7, &Lock{Mode: "GOVERNANCE", Until: epoch}; p.Bypass = true }),
		ObjectHold:      with(func(p *Private) { p.Target, p.Lock = 7, &Lock{} }),
		ObjectTags:      with(func(p *Private) { p.Target, p.Tags = 7, map[string]string{"team": "blå", "a": ""} }),
		BucketCreate:    with(func(p *Private) { p.Key, p.Inc, p.Value = "", 0, "lock" }),
		BucketDelete:    with(func(p *Private) { p.Key = "" }),
		BucketConfig:    with(func(p *Private) { p.Key, p.Name, p.Doc = "", "policy", body(BodyChunk); p.Doc.MD5 = [16]byte{} }),
		KeyCreate: local(func(p *Private) {
			p.Access = &AccessKey{ID: "K2", Role: "readonly", Scope: []string{"b/x"}}
			p.Secret = "c2VhbGVk"
		}),
		KeyRevoke:    local(func(p *Private) { p.Access = &AccessKey{ID: "K2"} }),
		UploadCreate: with(func(p *Private) { p.Upload, p.Meta = "u1", map[string]string{"m": "1"} }),
		UploadPart:   with(func(p *Private) { p.Upload, p.Part, p.Body = "u1", 2, body(BodyManifest) }),
		UploadAbort:  with(func(p *Private) { p.Upload = "u1" }),
		PackSeal:     {Actor: "stele", Pack: &Pack{Name: "pack-000001", SHA256: sum(9), Size: 1 << 30}},
		ViewPin:      local(func(p *Private) { p.Name, p.Target = "before-upgrade", 99 }),
		ViewUnpin:    local(func(p *Private) { p.Name = "before-upgrade" }),
		ConfigSet:    local(func(p *Private) { p.Name, p.Value = "keep", "720h" }),
		VerifyRun:    {Actor: "stele", Data: map[string]string{"entries": "100", "bad": "0"}},
		TimeDrift:    {Actor: "stele", Data: map[string]string{"state": "parted"}, Wall: epoch.Add(48 * time.Hour)},
		BackupTarget: local(func(p *Private) { p.Name, p.Value, p.Secret = "nas", `{"url":"dir:///mnt/nas"}`, "c2VhbGVk" }),
		BackupIndex:  {Actor: "stele", Name: "index", Target: 99, Doc: func() *Body { b := body(BodyChunk); b.MD5 = [16]byte{}; return b }()},
		DrillRun:     {Actor: "stele", Name: "nas", Data: map[string]string{"ok": "true", "rto": "1.2s"}, Doc: func() *Body { b := body(BodyChunk); b.MD5 = [16]byte{}; return b }()},
		VerifyScrub:  {Actor: "stele", Name: "scrub", Data: map[string]string{"bytes": "100", "bad": "0"}},
		Heal:         {Actor: "stele", Name: "packs/00.pack", Data: map[string]string{"from": "nas"}, Reason: "chunk 00: authentication failed"},
		VerifyDamage: {Actor: "stele", Name: "packs/00.pack", Value: "damaged", Data: map[string]string{"by": "a read"}, Reason: "chunk 00: authentication failed"},
		BackupHeld:   {Actor: "stele", Name: "nas", Target: 120},
		BackupLost:   {Actor: "stele", Name: "nas", Target: 99, Data: map[string]string{"files": "1", "first": "packs/00.pack"}},
		StandbyAdmit: local(func(p *Private) { p.Name, p.Value = "b", "age1x" }),
		DeniedLock:   with(func(p *Private) { p.Target, p.Reason = 7, "COMPLIANCE until 2027" }),
		DeniedSum:    {Actor: "stele", Data: map[string]string{"AccessDenied": "12", "SignatureDoesNotMatch": "3"}},
	}
}

func TestGolden(t *testing.T) {
	all := examples()
	for i, typ := range Types {
		p, ok := all[typ]
		if !ok {
			t.Fatalf("no example of %s", typ)
		}
		t.Run(string(typ), func(t *testing.T) {
			golden(t, string(typ), Entry{Index: uint64(i), Time: epoch, Type: typ, Salt: [16]byte(salt(byte(i))), Private: p})
		})
	}
	golden(t, "every-field", Entry{Index: MaxInt, Time: epoch, Type: ObjectPut, Private: full()})
	golden(t, "no-field", Entry{Time: epoch, Type: VerifyRun})
}

func salt(b byte) []byte { h := sum(b); return h[:16] }

// golden checks that e encodes to the stored bytes, that these parse, and the hashes beside them.
func golden(t *testing.T, name string, e Entry) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	private := AppendPrivate(nil, &e.Private)
	c := Commitment(e.Salt, private)
	leaf := AppendLeaf(nil, e.Index, e.Time, e.Type, c)
	text := fmt.Sprintf("leaf %s\nprivate %s\nsalt %x\nleafhash %s\n", leaf, private, e.Salt, LeafHash(leaf))
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s is now\n%swas\n%s", name, text, want)
	}
	got, err := ParsePrivate(private)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !reflect.DeepEqual(got, e.Private) {
		t.Errorf("%s parsed to %+v", name, got)
	}
	l, err := ParseLeaf(leaf)
	if err != nil || l != (Leaf{e.Index, e.Time, e.Type, c}) {
		t.Errorf("%s: leaf parsed to %+v, %v", name, l, err)
	}
}

// TestForeignJSON: a JSON encoder that knows nothing of entries writes the same bytes.
func TestForeignJSON(t *testing.T) {
	all := maps.Clone(examples())
	all["full"] = full()
	for typ, p := range all {
		b := AppendPrivate(nil, &p)
		if got := foreign(t, b); got != string(b) {
			t.Errorf("%s: ours\n%s\nforeign\n%s", typ, b, got)
		}
		leaf := AppendLeaf(nil, 5, epoch, ObjectPut, sum(0))
		if got := foreign(t, leaf); got != string(leaf) {
			t.Errorf("leaf: ours\n%s\nforeign\n%s", leaf, got)
		}
	}
}

// foreign reads b into maps and writes it with encoding/json. Where that differs from RFC 8785 it is put right:
// it escapes U+2028 and U+2029, and orders names by code point.
func foreign(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	s := strings.TrimSuffix(out.String(), "\n")
	s = strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029").Replace(s)
	return strings.Replace(s, "\"\ue000\":\"1\",\"\U0001F600\":\"2\"", "\"\U0001F600\":\"2\",\"\ue000\":\"1\"", 1)
}

// TestNameOrder is the example of RFC 8785, section 3.2.3.
func TestNameOrder(t *testing.T) {
	want := []string{"\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001F600", "\ufb33"}
	got := slices.Clone(want)
	slices.Sort(got)
	slices.SortFunc(got, compareNames)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEscapes(t *testing.T) {
	for c := range 256 {
		s := strings.Repeat("x", c%9) + string(rune(c)) + "0123456789"
		b := AppendPrivate(nil, &Private{Reason: s})
		var v struct{ Reason string }
		if err := json.Unmarshal(b, &v); err != nil || v.Reason != s {
			t.Fatalf("%q came back as %q, %v", s, v.Reason, err)
		}
		p, err := ParsePrivate(b)
		if err != nil || p.Reason != s {
			t.Fatalf("%q parsed to %q, %v", s, p.Reason, err)
		}
	}
}

// TestTime: whatever the zone, entries are in UTC; and every time comes back.
func TestTime(t *testing.T) {
	east := epoch.In(time.FixedZone("east", 9*3600+1800))
	if got := string(AppendTime(nil, east)); got != "2026-11-22T16:03:12.123456Z" {
		t.Error(got)
	}
	for _, when := range []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2000, 2, 29, 23, 59, 59, 999999000, time.UTC),
		time.Date(1900, 2, 28, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		text := AppendTime(nil, when)
		if want := when.Format("2006-01-02T15:04:05.000000Z"); string(text) != want {
			t.Errorf("%s, want %s", text, want)
		}
		p, err := ParsePrivate(AppendPrivate(nil, &Private{Wall: when}))
		if err != nil || p.Wall != when {
			t.Errorf("%s came back as %s, %v", when, p.Wall, err)
		}
	}
}

func TestNotCanonical(t *testing.T) {
	for _, s := range []string{
		``, `{`, `}`, `null`, `[]`, `{} `, ` {}`, `{,}`, `{}{}`,
		`{"actor":""}`, `{"actor":"a",}`, `{"actor":"a"`, `{"actor":"a}`, `{"actor": "a"}`, `{"actor":null}`,
		`{"actor":"a","actor":"a"}`, `{"bucket":"a","actor":"a"}`, `{"other":"a"}`, `{"actor":"a""addr":"b"}`,
		`{"actor":"\u0041"}`, `{"actor":"\/"}`, `{"actor":"\u000a"}`, `{"actor":"\u001F"}`, `{"actor":"\u0020"}`, `{"actor":"\`, `{"actor":"\u0"}`,
		"{\"actor\":\"\n\"}", "{\"actor\":\"\xff\"}", "{\"actor\":\"\xed\xa0\x80\"}", `{"actor":"\ud83d\ude00"}`,
		`{"bypass":false}`, `{"bypass":1}`, `{"inc":0}`, `{"inc":01}`, `{"inc":-1}`, `{"inc":1.0}`, `{"inc":1e3}`, `{"inc":"1"}`,
		`{"inc":9007199254740992}`, `{"inc":99999999999999999999999}`,
		`{"meta":{}}`, `{"meta":{"b":"","a":""}}`, `{"meta":{"a":"","a":""}}`, `{"meta":{"a":1}}`, `{"meta":{"a":"",}}`, `{"meta":{"a"}}`, `{"meta":{"a":""}`,
		`{"access":{"scope":[]}}`, `{"access":{"scope":["a",]}}`, `{"access":{"scope":[1]}}`, `{"access":{"scope":["a"`,
		`{"body":{"size":1,"kind":"chunk"}}`, `{"body":{"md5":"00000000000000000000000000000000"}}`,
		`{"body":{"md5":"0000000000000000000000000000000A"}}`, `{"body":{"md5":"01"}}`, `{"body":{"md5":"0g000000000000000000000000000000"}}`,
		`{"wall":"0001-01-01T00:00:00.000000Z"}`, `{"wall":"2026-02-30T00:00:00.000000Z"}`, `{"wall":"2026-11-22T24:00:00.000000Z"}`,
		`{"wall":"2026-11-22T00:60:00.000000Z"}`, `{"wall":"2026-11-22T00:00:60.000000Z"}`, `{"wall":"2026-11-22T00:00:00Z"}`,
		`{"wall":"2026-11-22T00:00:00.000000+"}`, `{"wall":"2026-11-22T00:0d:00.000000Z"}`, `{"wall":"2026-13-22T00:00:00.000000Z"}`, `{"wall":"0000-11-22T00:00:00.000000Z"}`,
	} {
		if p, err := ParsePrivate([]byte(s)); !errors.Is(err, ErrCanonical) {
			t.Errorf("%s parsed to %+v, %v", s, p, err)
		}
	}
	good := AppendLeaf(nil, 12, epoch, ObjectPut, sum(0))
	for _, r := range []*strings.Replacer{
		strings.NewReplacer(`:12,`, `:012,`), strings.NewReplacer(`:12,`, `:-1,`), strings.NewReplacer(`:12,`, `:,`), strings.NewReplacer(`:12,`, `:9007199254740992,`),
		strings.NewReplacer(`object`, `Object`), strings.NewReplacer(`object.put`, ``), strings.NewReplacer(`object`, strings.Repeat("a", 64)),
		strings.NewReplacer(`}`, `} `), strings.NewReplacer(`}`, `,"x":1}`), strings.NewReplacer(`0a`, `0A`), strings.NewReplacer(`"c"`, `"i":1,"c"`),
		strings.NewReplacer(`:12,`, `:0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000012,`),
	} {
		b := r.Replace(string(good))
		if b == string(good) {
			t.Fatal("nothing replaced")
		}
		if l, err := ParseLeaf([]byte(b)); !errors.Is(err, ErrCanonical) {
			t.Errorf("%s parsed to %+v, %v", b, l, err)
		}
	}
}

// TestEveryFlip: whatever byte is changed, either the text does not parse or it stands for itself.
func TestEveryFlip(t *testing.T) {
	p := full()
	good := AppendPrivate(nil, &p)
	for i := range good {
		for _, x := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			b := bytes.Clone(good)
			b[i] ^= x
			if p, err := ParsePrivate(b); err == nil && !bytes.Equal(AppendPrivate(nil, &p), b) {
				t.Fatalf("byte %d ^ %d: parses, encodes otherwise", i, x)
			}
		}
		if _, err := ParsePrivate(good[:i]); err == nil {
			t.Fatalf("the first %d bytes parse", i)
		}
	}
}

func TestNoAlias(t *testing.T) {
	p := full()
	b := AppendPrivate(nil, &p)
	got, err := ParsePrivate(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(got, p) {
		t.Error("the result changed with the input buffer")
	}
}

func TestValidate(t *testing.T) {
	bad := map[string]func(*Private){
		"key too long":     func(p *Private) { p.Key = strings.Repeat("k", MaxKey+1) },
		"key not UTF-8":    func(p *Private) { p.Key = "a\xff" },
		"tag not UTF-8":    func(p *Private) { p.Tags = map[string]string{"a": "\xc0\x80"} },
		"name not UTF-8":   func(p *Private) { p.Meta = map[string]string{"\xed\xa0\x80": ""} },
		"scope not UTF-8":  func(p *Private) { p.Access = &AccessKey{Scope: []string{"\xff"}} },
		"inc too large":    func(p *Private) { p.Inc = MaxInt + 1 },
		"target too large": func(p *Private) { p.Target = MaxInt + 1 },
		"part too large":   func(p *Private) { p.Part = MaxParts + 1 },
		"part negative":    func(p *Private) { p.Part = -1 },
		"size negative":    func(p *Private) { p.Body.Size = -1 },
		"size too large":   func(p *Private) { p.Body.Size = MaxInt + 1 },
		"body no kind":     func(p *Private) { p.Body.Kind = "" },
		"body no sha256":   func(p *Private) { p.Body.SHA256 = Hash{} },
		"body no ref":      func(p *Private) { p.Body.Ref = ID{} },
		"doc no ref":       func(p *Private) { p.Doc = &Body{Kind: BodyChunk, SHA256: sum(1)} },
		"empty with bytes": func(p *Private) { p.Body = &Body{Kind: BodyEmpty, Size: 1} },
		"empty other sum":  func(p *Private) { p.Body = &Body{Kind: BodyEmpty, SHA256: sum(1)} },
		"pack size":        func(p *Private) { p.Pack = &Pack{Size: -1} },
		"secret too long":  func(p *Private) { p.Secret = strings.Repeat("c2Vh", MaxSecret/4+1) },
		"secret in clear":  func(p *Private) { p.Secret = "swordfish!" },
		"secret, newline":  func(p *Private) { p.Secret = "c2Vh\nbGVk" },
		"access secret":    func(p *Private) { p.Access = &AccessKey{ID: "K", Secret: "clear"} },
		"clock run":        func(p *Private) { p.Clock = &Clock{Run: epoch.Add(1)} },
		"clock too far":    func(p *Private) { p.Clock = &Clock{Mono: MaxInt + 1} },
		"nanoseconds":      func(p *Private) { p.Wall = epoch.Add(1) },
		"year 10000":       func(p *Private) { p.Lock = &Lock{Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} },
	}
	for name, change := range bad {
		p := put()
		change(&p)
		if err := p.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p := put()
	p.Key = strings.Repeat("k", MaxKey)
	p.Body = &Body{Kind: BodyEmpty, SHA256: emptySum}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	for _, e := range []Entry{{Type: "no.such", Time: epoch}, {Type: ObjectPut}, {Type: ObjectPut, Time: epoch.Add(1)}, {Type: ObjectPut, Time: epoch, Index: MaxInt + 1}} {
		if err := e.Validate(); err == nil {
			t.Errorf("%+v: no error", e)
		}
	}
}

// TestLimit: the limit holds to the byte, and the quick estimate never passes what is over it.
func TestLimit(t *testing.T) {
	for _, unit := range []string{"x", "\x01", "\"", "é"} {
		p := full()
		p.Reason = ""
		empty := len(AppendPrivate(nil, &p)) + len(`"reason":"",`)
		each := len(AppendPrivate(nil, &Private{Reason: unit})) - len(`{"reason":""}`)
		p.Reason = strings.Repeat(unit, (MaxPrivate-empty)/each)
		if err := p.Validate(); err != nil {
			t.Errorf("%q: %v", unit, err)
		}
		if _, err := ParsePrivate(AppendPrivate(nil, &p)); err != nil {
			t.Errorf("%q: %v", unit, err)
		}
		p.Reason += unit
		if err := p.Validate(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%q: %v", unit, err)
		}
		if _, err := ParsePrivate(AppendPrivate(nil, &p)); !errors.Is(err, ErrCanonical) {
			t.Errorf("%q: %v", unit, err)
		}
	}
	p := full()
	var c check
	c.text("", p.Key)
	p.Key = ""
	if n := len(AppendPrivate(nil, &p)); n > 1536 {
		t.Errorf("without long strings there are %d bytes, more than the estimate allows for", n)
	}
}

func TestParts(t *testing.T) {
	one := func(n int) Part { return Part{Body: *body(BodyChunk), Checksum: "q1w2e3==", Number: n} }
	parts := Parts{one(1), one(2), one(9999), {Body: Body{Kind: BodyEmpty}, Number: MaxParts}}
	parts[1].Checksum, parts[1].Body.Kind = "", BodyManifest
	b := AppendParts(nil, parts)
	if got := foreign(t, b); got != string(b) {
		t.Errorf("ours\n%s\nforeign\n%s", b, got)
	}
	path := filepath.Join("testdata", "golden", "parts.json")
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(b, want) {
		t.Errorf("parts are now\n%s\nwere\n%s, %v", b, want, err)
	}
	got, err := ParseParts(b)
	if err != nil || !reflect.DeepEqual(got, parts) {
		t.Errorf("parsed to %+v, %v", got, err)
	}
	if got.Size() != 3*4096 {
		t.Errorf("size %d", got.Size())
	}
	for _, bad := range []Parts{{}, {one(0)}, {one(2), one(1)}, {one(1), one(1)}, {one(MaxParts + 1)}, {{Number: 1}}, {{Number: 1, Body: *body(BodyParts)}}} {
		if _, err := ParseParts(AppendParts(nil, bad)); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	many := make(Parts, MaxParts)
	for i := range many {
		many[i] = one(i + 1)
		many[i].Body.Size = 5 << 30
		many[i].Checksum = strings.Repeat("c", maxChecksum)
	}
	b = AppendParts(nil, many)
	if got, err := ParseParts(b); err != nil || len(got) != MaxParts {
		t.Errorf("%d parts in %d bytes: %v", len(got), len(b), err)
	}
	if _, err := ParseParts(append(b[:len(b)-1], append([]byte{','}, AppendParts(nil, Parts{one(1)})[1:]...)...)); !errors.Is(err, ErrCanonical) {
		t.Errorf("10,001 parts: %v", err)
	}
}

// TestSecretWithinAccess: entries from before secrets had a field of their own are read, and encode to the same bytes: their commitments go on to hold.
func TestSecretWithinAccess(t *testing.T) {
	old := `{"access":{"id":"K2","role":"readonly","scope":["b/x"],"secret":"abc"},"actor":"local"}`
	p, err := ParsePrivate([]byte(old))
	if err != nil || p.Access.Secret != "abc" || string(AppendPrivate(nil, &p)) != old {
		t.Errorf("%+v %v", p.Access, err)
	}
}
