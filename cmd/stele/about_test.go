package main

import (
	"strings"
	"testing"
	"time"

	"stele/entry"
)

// TestAbout: the line of each type of entry, as `stele log` prints it, says what is so now, in words.
func TestAbout(t *testing.T) {
	until := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	body := &entry.Body{Size: 2048}
	seen := map[entry.Type]bool{}
	for _, c := range []struct {
		t    entry.Type
		p    entry.Private
		want string
	}{
		{entry.StoreInit, entry.Private{Data: map[string]string{"store": "ab", "origin": "ab/1", "vkey": "ab/1+key"}}, "store ab  signs with ab/1+key"},
		{entry.EpochBegin, entry.Private{Data: map[string]string{"epoch": "2", "cut": "9", "vkey": "ab/2+key", "parent": "a\nb", "consent": "c\n"}, Reason: "fire"}, "epoch 2 goes on with the first 9 entries  signs with ab/2+key  fire"},
		{entry.ObjectPut, entry.Private{Bucket: "b", Key: "k", Body: body, Lock: &entry.Lock{Mode: "GOVERNANCE", Until: until, Hold: true}}, "b/k  2.0 KiB  GOVERNANCE until 2027-01-02T03:04:05Z  legal hold ON"},
		{entry.ObjectPut, entry.Private{Bucket: "b", Key: "k", Body: body, Target: 4, Reason: "restore as of @7"}, "b/k  2.0 KiB  the version of entry 4  restore as of @7"},
		{entry.ObjectPut, entry.Private{Bucket: "b", Key: "k", Body: body, Upload: "u", Part: 3}, "b/k  2.0 KiB  completes an upload in parts"},
		{entry.ObjectHide, entry.Private{Bucket: "b", Key: "k", Target: 4, Bypass: true, Address: "::1"}, "b/k  the version of entry 4  past its GOVERNANCE retention  from ::1"},
		{entry.ObjectHide, entry.Private{Bucket: "b", Key: "k", Marker: true}, "b/k  a delete marker"},
		{entry.ObjectRetention, entry.Private{Bucket: "b", Key: "k", Target: 4, Lock: &entry.Lock{}}, "b/k  no retention any more  the version of entry 4"},
		{entry.ObjectHold, entry.Private{Bucket: "b", Key: "k", Target: 4, Lock: &entry.Lock{Hold: true}}, "b/k  legal hold ON  the version of entry 4"},
		{entry.ObjectHold, entry.Private{Bucket: "b", Key: "k", Target: 4}, "b/k  legal hold OFF  the version of entry 4"},
		{entry.ObjectTags, entry.Private{Bucket: "b", Key: "k", Target: 4}, "b/k  no tags any more  the version of entry 4"},
		{entry.BucketCreate, entry.Private{Bucket: "b", Target: 4}, "b  put back as it was with 4 entries"},
		{entry.BucketDelete, entry.Private{Bucket: "b"}, "b"},
		{entry.BucketConfig, entry.Private{Bucket: "b", Name: "versioning", Value: "Enabled"}, "b  versioning  Enabled"},
		{entry.BucketConfig, entry.Private{Bucket: "b", Name: "object-lock", Value: `{"mode":"COMPLIANCE","years":1}`}, "b  object lock on, by default COMPLIANCE for 1 year"},
		{entry.BucketConfig, entry.Private{Bucket: "b", Name: "policy", Value: `{"Version":""}`}, "b  policy  set, 14 B"},
		{entry.BucketConfig, entry.Private{Bucket: "b", Name: "lifecycle", Doc: body}, "b  lifecycle  set, 2.0 KiB"},
		{entry.BucketConfig, entry.Private{Bucket: "b", Name: "cors"}, "b  cors  removed"},
		{entry.KeyCreate, entry.Private{Access: &entry.AccessKey{ID: "K", Role: "append", Scope: []string{"b/p/"}, Rate: 5}}, "K append  for b/p/  5 entries/s"},
		{entry.KeyRevoke, entry.Private{Access: &entry.AccessKey{ID: "K"}}, "K"},
		{entry.UploadCreate, entry.Private{Bucket: "b", Key: "k"}, "b/k"},
		{entry.UploadPart, entry.Private{Bucket: "b", Key: "k", Part: 3, Body: body}, "b/k  part 3  2.0 KiB"},
		{entry.UploadAbort, entry.Private{Bucket: "b", Key: "k"}, "b/k"},
		{entry.PackSeal, entry.Private{Pack: &entry.Pack{Name: "packs/1.pack", Size: 2048}}, "packs/1.pack 2.0 KiB"},
		{entry.ViewPin, entry.Private{Name: "audit", Target: 4}, "audit  the store with 4 entries"},
		{entry.ViewUnpin, entry.Private{Name: "audit"}, "audit"},
		{entry.ConfigSet, entry.Private{Name: "kit.shares/00112233aabbccdd", Value: "{}"}, "the recovery kit was split: set 00112233aabbccdd"},
		{entry.ConfigSet, entry.Private{Name: "kit.share/00112233aabbccdd/2", Value: "{}"}, "share 2 of set 00112233aabbccdd was read back"},
		{entry.ConfigSet, entry.Private{Name: "kit.confirmed", Value: "2026-11-30T11:29:40Z"}, "the recovery kit was read back"},
		{entry.ConfigSet, entry.Private{Name: "hides.seen", Value: "12"}, "the bursts of hides up to entry 12 were looked at and are in order"},
		{entry.VerifyRun, entry.Private{Data: map[string]string{"deep": "true", "size": "9", "bytes": "2048", "problems": "2", "healed": "1", "root": "ff"}}, "every byte of 9 entries, 2.0 KiB read: 2 problems, 1 file healed"},
		{entry.VerifyScrub, entry.Private{Name: "scrub", Data: map[string]string{"bytes": "2048", "bad": "1", "oldest": "2026-11-30T11:29:40Z"}}, "1 damaged file not healed  every byte was read since 2026-11-30T11:29:40Z  2.0 KiB read in this round"},
		{entry.VerifyDamage, entry.Private{Name: "packs/1.pack", Value: "damaged", Reason: "chunk 3", Data: map[string]string{"by": "scrub"}}, "packs/1.pack  damaged  met by scrub  chunk 3"},
		{entry.VerifyDamage, entry.Private{Name: "packs/1.pack"}, "packs/1.pack  is as it was written again"},
		{entry.Heal, entry.Private{Name: "packs/1.pack", Data: map[string]string{"from": "nas", "bytes": "2048", "wrong": "1", "wrong-was": "00"}}, "packs/1.pack  replaced by the copy of nas, 2.0 KiB  wrong in 1 byte"},
		{entry.TimeDrift, entry.Private{Data: map[string]string{"state": "parted"}}, "the ledger's clock and this machine's have parted"},
		{entry.BackupTarget, entry.Private{Name: "nas", Value: `{"url":"dir:///n","every":300000000000,"rate":1024,"lock_days":2,"offsite":true,"removing":"2027-01-02T03:04:05Z"}`}, "nas  dir:///n  to be removed 2027-01-02T03:04:05Z  every 5m0s  1.0 KiB/s at most  locked for 2 days  declared offsite"},
		{entry.BackupTarget, entry.Private{Name: "nas"}, "nas  removed: it is shipped to no more"},
		{entry.BackupIndex, entry.Private{Name: "index", Target: 9, Doc: body}, "a snapshot of the index with 9 entries"},
		{entry.BackupHeld, entry.Private{Name: "nas", Target: 9}, "nas  has held 9 entries"},
		{entry.BackupLost, entry.Private{Name: "nas", Target: 9, Data: map[string]string{"files": "2", "first": "packs/1.pack"}}, "nas  lost files that were shipped to it: 2, the first packs/1.pack; it holds 9 entries"},
		{entry.DrillRun, entry.Private{Name: "nas", Data: map[string]string{"ok": "true", "full": "true", "opened_by": "recovery", "rpo": "0.000s", "rto": "0.040s", "size": "7", "versions": "2"}}, "nas  passed  2 versions of the store with 7 entries read, and every byte of the copy  first read after 40ms  nothing would be lost  opened with the recovery key"},
		{entry.DrillRun, entry.Private{Name: "nas", Reason: "no copy", Data: map[string]string{"ok": "false", "rpo": "0.000s", "rto": "0.000s", "size": "0", "versions": "0"}}, "nas  FAILED  no copy"},
		{entry.StandbyAdmit, entry.Private{Name: "two", Value: "age1x"}, "two  admitted with age1x"},
		{entry.StandbyAdmit, entry.Private{Name: "two"}, "two  is a standby no more"},
		{entry.DeniedLock, entry.Private{Bucket: "b", Key: "k", Name: "hide", Value: "1", Reason: "b/k version 1 is locked"}, "b/k  refused: hide  b/k version 1 is locked"},
		{entry.DeniedSum, entry.Private{Data: map[string]string{"role K": "3: PutObject b 3"}}, "refused in a minute:  role K=3: PutObject b 3"},
	} {
		seen[c.t] = true
		if got := about(c.t, &c.p); got != c.want {
			t.Errorf("%s:\n %q, want\n %q", c.t, got, c.want)
		}
	}
	for _, known := range entry.Types {
		if !seen[known] {
			t.Errorf("no line of %s was read", known)
		}
	}
	for _, odd := range []entry.Private{{}, {Data: map[string]string{"a": "b"}}, {Name: "n", Value: strings.Repeat("{", 99)}} { // of a later program, or of none
		for _, known := range entry.Types {
			about(known, &odd)
		}
	}
}
