package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/entry"
	"stele/verify"
)

// about says what an entry is about, as an auditor reads it: on what, what is so now that was not, why, from where. --json has all that the entry holds.
func about(t entry.Type, p *entry.Private) string {
	var w []string
	switch {
	case p.Key != "":
		w = append(w, shown(p.Bucket+"/"+p.Key))
	case p.Bucket != "":
		w = append(w, shown(p.Bucket))
	}
	if say, ok := abouts[t]; ok {
		w = append(w, say(p)...)
	} else {
		w = append(w, named(p)...)
		w = append(w, facts(p.Data, 60)...)
	}
	if p.Reason != "" {
		w = append(w, shown(p.Reason))
	}
	if p.Address != "" {
		w = append(w, "from "+shown(p.Address))
	}
	return strings.Join(w, "  ")
}

// abouts are the words for the types of entries whose fields do not speak for themselves.
var abouts = map[entry.Type]func(p *entry.Private) []string{
	entry.StoreInit: func(p *entry.Private) []string {
		return []string{"store " + shown(p.Data["store"]), "signs with " + shown(p.Data["vkey"])}
	},
	entry.EpochBegin: func(p *entry.Private) []string {
		return []string{fmt.Sprintf("epoch %s goes on with the first %s entries", shown(p.Data["epoch"]), shown(p.Data["cut"])), "signs with " + shown(p.Data["vkey"])}
	},
	entry.ObjectPut: func(p *entry.Private) []string {
		w := append(bytesOf(p), ofEntry(p)...)
		if p.Upload != "" {
			w = append(w, "completes an upload in parts")
		}
		return append(w, lockOf(p.Lock)...)
	},
	entry.ObjectHide: func(p *entry.Private) []string {
		if p.Marker {
			return []string{"a delete marker"}
		}
		return append(ofEntry(p), bypassed(p)...)
	},
	entry.ObjectRetention: func(p *entry.Private) []string {
		w := lockOf(p.Lock)
		if len(w) == 0 {
			w = []string{"no retention any more"}
		}
		return append(append(w, ofEntry(p)...), bypassed(p)...)
	},
	entry.ObjectHold: func(p *entry.Private) []string {
		if p.Lock != nil && p.Lock.Hold {
			return append([]string{"legal hold ON"}, ofEntry(p)...)
		}
		return append([]string{"legal hold OFF"}, ofEntry(p)...)
	},
	entry.ObjectTags: func(p *entry.Private) []string {
		if len(p.Tags) == 0 {
			return append([]string{"no tags any more"}, ofEntry(p)...)
		}
		return append(append([]string{"tags now"}, facts(p.Tags, 60)...), ofEntry(p)...)
	},
	entry.BucketCreate: func(p *entry.Private) []string {
		if p.Target > 0 {
			return []string{"put back as it was with " + entries(p.Target)}
		}
		return named(p)
	},
	entry.BucketConfig: aboutSetting,
	entry.KeyCreate:    aboutKey,
	entry.KeyRevoke:    aboutKey,
	entry.UploadPart: func(p *entry.Private) []string {
		return append([]string{fmt.Sprintf("part %d", p.Part)}, bytesOf(p)...)
	},
	entry.PackSeal: func(p *entry.Private) []string {
		if p.Pack == nil {
			return named(p)
		}
		return []string{p.Pack.Name + " " + size(p.Pack.Size)}
	},
	entry.ViewPin:      atSize,
	entry.BackupIndex:  func(p *entry.Private) []string { return []string{"a snapshot of the index with " + entries(p.Target)} },
	entry.BackupTarget: aboutTarget,
	entry.BackupHeld:   func(p *entry.Private) []string { return []string{shown(p.Name), "has held " + entries(p.Target)} },
	entry.BackupLost: func(p *entry.Private) []string {
		if p.Data["files"] == "" {
			return []string{shown(p.Name), "given up: it begins anew"}
		}
		return []string{shown(p.Name), fmt.Sprintf("lost files that were shipped to it: %s, the first %s; it holds %s", shown(p.Data["files"]), shown(p.Data["first"]), entries(p.Target))}
	},
	entry.ConfigSet: func(p *entry.Private) []string {
		switch p.Name {
		case "kit.confirmed":
			return []string{"the recovery kit was read back"}
		case "hides.seen":
			return []string{"the bursts of hides up to entry " + shown(p.Value) + " were looked at and are in order"}
		}
		if set, ok := strings.CutPrefix(p.Name, "kit.shares/"); ok {
			return []string{"the recovery kit was split: set " + shown(set)}
		}
		if of, ok := strings.CutPrefix(p.Name, "kit.share/"); ok {
			set, number, _ := strings.Cut(of, "/")
			return []string{"share " + shown(number) + " of set " + shown(set) + " was read back"}
		}
		return named(p)
	},
	entry.VerifyRun:    aboutVerify,
	entry.VerifyScrub:  aboutScrub,
	entry.VerifyDamage: aboutDamage,
	entry.Heal:         aboutHeal,
	entry.DrillRun:     aboutDrill,
	entry.StandbyAdmit: func(p *entry.Private) []string {
		if p.Value == "" {
			return []string{shown(p.Name), "is a standby no more"}
		}
		return []string{shown(p.Name), "admitted with " + shown(p.Value)}
	},
	entry.TimeDrift: func(p *entry.Private) []string {
		return []string{"the ledger's clock and this machine's have " + shown(p.Data["state"])}
	},
	entry.DeniedLock: func(p *entry.Private) []string { return []string{"refused: " + shown(p.Name)} },
	entry.DeniedSum: func(p *entry.Private) []string {
		return append([]string{"refused in a minute:"}, facts(p.Data, 600)...)
	},
}

func named(p *entry.Private) (w []string) {
	if p.Name != "" {
		w = append(w, shown(p.Name))
	}
	if p.Value != "" {
		w = append(w, shown(short(p.Value, 60)))
	}
	return append(append(append(w, bytesOf(p)...), lockOf(p.Lock)...), ofEntry(p)...)
}

func facts(data map[string]string, most int) (w []string) {
	for _, k := range slices.Sorted(maps.Keys(data)) {
		w = append(w, shown(k)+"="+shown(short(data[k], most)))
	}
	return w
}

func bytesOf(p *entry.Private) []string {
	if p.Body == nil {
		return nil
	}
	return []string{size(p.Body.Size)}
}

func ofEntry(p *entry.Private) []string {
	if p.Target == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the version of entry %d", p.Target)}
}

func bypassed(p *entry.Private) []string {
	if !p.Bypass {
		return nil
	}
	return []string{"past its GOVERNANCE retention"}
}

func lockOf(l *entry.Lock) (w []string) {
	if l == nil {
		return nil
	}
	if l.Mode != "" {
		w = append(w, l.Mode+" until "+moment(l.Until))
	}
	if l.Hold {
		w = append(w, "legal hold ON")
	}
	return w
}

func atSize(p *entry.Private) []string {
	return []string{shown(p.Name), "the store with " + entries(p.Target)}
}

// aboutSetting: short values as they are, documents by their size.
func aboutSetting(p *entry.Private) []string {
	var r stele.Retention
	switch {
	case p.Value == "" && p.Doc == nil:
		return []string{shown(p.Name), "removed"}
	case p.Name == "object-lock" && json.Unmarshal([]byte(p.Value), &r) == nil:
		if r.Mode == "" {
			return []string{"object lock on, without a default retention"}
		}
		period := count(r.Days, "day")
		if r.Days == 0 {
			period = count(r.Years, "year")
		}
		return []string{"object lock on, by default " + r.Mode + " for " + period}
	case p.Doc != nil:
		return []string{shown(p.Name), "set, " + size(p.Doc.Size)}
	case strings.ContainsAny(p.Value, "<{"):
		return []string{shown(p.Name), "set, " + size(int64(len(p.Value)))}
	}
	return []string{shown(p.Name), shown(short(p.Value, 60))}
}

func aboutKey(p *entry.Private) []string {
	k := p.Access
	if k == nil {
		return named(p)
	}
	w := []string{strings.TrimSpace(shown(k.ID) + " " + k.Role)}
	if len(k.Scope) > 0 {
		w = append(w, "for "+scopeText(k.Scope))
	}
	if k.Rate > 0 {
		w = append(w, fmt.Sprintf("%d entries/s", k.Rate))
	}
	return w
}

func aboutTarget(p *entry.Private) []string {
	var s stele.TargetSpec
	if p.Value == "" {
		return []string{shown(p.Name), "removed: it is shipped to no more"}
	}
	if json.Unmarshal([]byte(p.Value), &s) != nil {
		return named(p)
	}
	w := []string{shown(p.Name), shown(s.URL)}
	if !s.Removing.IsZero() {
		w = append(w, "to be removed "+moment(s.Removing))
	}
	if s.Every > 0 {
		w = append(w, "every "+s.Every.String())
	}
	if s.RateBytes > 0 {
		w = append(w, size(s.RateBytes)+"/s at most")
	}
	if s.LockDays > 0 {
		w = append(w, "locked for "+count(s.LockDays, "day"))
	}
	if s.Offsite {
		w = append(w, "declared offsite")
	}
	return w
}

// number reads a fact that is a number; what is none is 0.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func aboutVerify(p *entry.Private) []string {
	d := p.Data
	what := "the ledger"
	if d["deep"] == "true" {
		what = "every byte"
	}
	found := "no problem"
	if n := number(d["problems"]); n > 0 {
		found = count(n, "problem")
	}
	if n := number(d["healed"]); n > 0 {
		found += ", " + count(n, "file") + " healed"
	}
	return []string{fmt.Sprintf("%s of %s, %s read: %s", what, entries(uint64(number(d["size"]))), size(number(d["bytes"])), found)}
}

func aboutScrub(p *entry.Private) []string {
	found := "no damaged file is known"
	if n := number(p.Data["bad"]); n > 0 {
		found = count(n, "damaged file") + " not healed"
	}
	w := []string{found}
	if oldest := p.Data["oldest"]; oldest != "" {
		w = append(w, "every byte was read since "+shown(oldest))
	}
	return append(w, size(number(p.Data["bytes"]))+" read in this round")
}

func aboutDamage(p *entry.Private) []string {
	if p.Value == "" {
		return []string{shown(p.Name), "is as it was written again"}
	}
	w := []string{shown(p.Name), shown(p.Value)}
	if by := p.Data["by"]; by != "" {
		w = append(w, "met by "+shown(by))
	}
	return w
}

func aboutHeal(p *entry.Private) []string {
	w := []string{shown(p.Name), fmt.Sprintf("replaced by the copy of %s, %s", shown(p.Data["from"]), size(number(p.Data["bytes"])))}
	if p.Data["was"] == "gone" {
		return append(w, "it was gone")
	}
	if n := number(p.Data["wrong"]); n > 0 {
		w = append(w, "wrong in "+count(n, "byte"))
	}
	return w
}

func aboutDrill(p *entry.Private) []string {
	d := p.Data
	if d["ok"] != "true" {
		return []string{shown(p.Name), "FAILED"} // what it measured before that means nothing
	}
	read := fmt.Sprintf("%s of the store with %s read", count(number(d["versions"]), "version"), entries(uint64(number(d["size"]))))
	if d["full"] == "true" {
		read += ", and every byte of the copy"
	}
	w := []string{shown(p.Name), "passed", read}
	if first, err := time.ParseDuration(d["rto"]); err == nil && number(d["versions"]) > 0 {
		w = append(w, "first read after "+first.String())
	}
	if lost, err := time.ParseDuration(d["rpo"]); err == nil {
		if lost == 0 {
			w = append(w, "nothing would be lost")
		} else {
			w = append(w, "the changes of the last "+lost.String()+" would be lost")
		}
	}
	if d["opened_by"] == verify.OpenedByRecovery {
		w = append(w, "opened with the recovery key")
	}
	return w
}

func short(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return s
}
