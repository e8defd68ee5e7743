package main

import (
	"fmt"
	"io/fs"
	"mime"
	"path"
	"strconv"
	"strings"
	"time"
)

// Metadata of files, by rclone's conventions:
//
//	mtime   seconds since 1970 with nine decimals, as rclone's S3 backend writes it: 1763827392.123456789
//	mode    file type and permissions in octal, as rclone's metadata has it: 100644, 120777, 40755
//
// A symlink is an object whose mode says so (type 12) and whose bytes are the link's target. An empty folder is an empty object whose key ends in a
// slash, as rclone's directory markers are. Owners, extended attributes and hard links are not kept.
const (
	metaMtime = "mtime"
	metaMode  = "mode"
)

// Unix file types, in the mode's upper digits.
const (
	typeMask    = 0o170000
	typeRegular = 0o100000
	typeFolder  = 0o040000
	typeSymlink = 0o120000
)

// metaOf is the metadata of a file.
func metaOf(info fs.FileInfo) map[string]string {
	mode := uint32(info.Mode().Perm())
	for _, bit := range []struct {
		is fs.FileMode
		as uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if info.Mode()&bit.is != 0 {
			mode |= bit.as
		}
	}
	switch {
	case info.IsDir():
		mode |= typeFolder
	case info.Mode()&fs.ModeSymlink != 0:
		mode |= typeSymlink
	default:
		mode |= typeRegular
	}
	t := info.ModTime()
	return map[string]string{metaMtime: mtimeText(t), metaMode: strconv.FormatUint(uint64(mode), 8)}
}

func mtimeText(t time.Time) string {
	s, ns := t.Unix(), t.Nanosecond()
	if s < 0 && ns > 0 { // -1.25 is one and a quarter second before 1970
		if s, ns = s+1, 1e9-ns; s == 0 {
			return fmt.Sprintf("-0.%09d", ns)
		}
	}
	return fmt.Sprintf("%d.%09d", s, ns)
}

// mtimeOf reads the mtime of an object's metadata; false if it has none that can be read.
func mtimeOf(meta map[string]string) (time.Time, bool) {
	text := meta[metaMtime]
	negative := strings.HasPrefix(text, "-")
	whole, frac, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	s, err := strconv.ParseUint(whole, 10, 40)
	if err != nil {
		return time.Time{}, false
	}
	ns := uint64(0)
	if frac != "" {
		if ns, err = strconv.ParseUint((frac + "000000000")[:9], 10, 32); err != nil {
			return time.Time{}, false
		}
	}
	if negative {
		return time.Unix(-int64(s), -int64(ns)), true
	}
	return time.Unix(int64(s), int64(ns)), true
}

// modeOf reads type and permissions; false if there are none. Set-user-id, set-group-id and sticky bits are not given back: whoever may write
// metadata would decide what runs as whom.
func modeOf(meta map[string]string) (kind uint32, perm fs.FileMode, ok bool) {
	m, err := strconv.ParseUint(meta[metaMode], 8, 32)
	if err != nil {
		return 0, 0, false
	}
	return uint32(m) & typeMask, fs.FileMode(m & 0o777), true
}

// headersOf is the content type that a name suggests.
func headersOf(key string) map[string]string {
	if t := mime.TypeByExtension(path.Ext(key)); t != "" {
		return map[string]string{"content-type": t}
	}
	return nil
}
