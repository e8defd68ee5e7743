package index

import (
	"bytes"
	"encoding/binary"
	"strings"

	"stele/entry"
)

// Row families, by first byte. Derived data: not frozen, a change only needs a new indexFormat.
//
//	c inc key                      the current version of a key, what a listing shows
//	v inc key^ ¬entry              a noncurrent version or marker that S3 still shows
//	h inc key^ ¬entry              history: a put, a marker, or the hiding of a version; never removed
//	a inc key^ version ¬entry      lock and tags of a version since that entry
//	n inc key^                     the entry of the null version, where it is not current
//	b name / B name^ ¬entry        a bucket now / since that entry
//	t inc                          counters of an incarnation
//	u inc key^ upload / U upload   an open upload / the entry that last changed it, and the numbers of its parts
//	p upload^ part                 a part
//	k id   w name   s name         access key, pinned view, store setting
//	P chunk   K pack               places
//	S name                         the entry that sealed a pack
//	m name                         meta: applied size, format
//
// inc, entry and version are 8 bytes big-endian, ¬ is the complement (newest first), ^ marks an escaped, terminated string:
// 0x00 becomes 0x00 0xFF and 0x00 0x01 ends it, so that order is that of the bytes and no key is a prefix of another.
const (
	famCurrent = 'c'
	famVersion = 'v'
	famHistory = 'h'
	famAttr    = 'a'
	famNull    = 'n'
	famBucket  = 'b'
	famBuckets = 'B'
	famTotals  = 't'
	famUpload  = 'u'
	famTouched = 'U'
	famPart    = 'p'
	famAccess  = 'k'
	famPin     = 'w'
	famConfig  = 's'
	famPlace   = 'P'
	famPack    = 'K'
	famMeta    = 'm'
	famSealed  = 'S'
)

func appendEscaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(dst, s...), 0, 1)
		}
		dst = append(append(dst, s[:i]...), 0, 0xFF)
		s = s[i+1:]
	}
}

// cutEscaped undoes appendEscaped and returns what follows.
func cutEscaped(b []byte) (string, []byte, bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 && i+1 < len(b) && b[i+1] == 1 {
		return string(b[:i]), b[i+2:], true // the common case: nothing was escaped
	}
	var out []byte
	for i := 0; i+1 < len(b); i++ {
		switch {
		case b[i] != 0:
			out = append(out, b[i])
		case b[i+1] == 0xFF:
			out = append(out, 0)
			i++
		case b[i+1] == 1:
			return string(out), b[i+2:], true
		default:
			return "", nil, false
		}
	}
	return "", nil, false
}

func incKey(fam byte, inc uint64, room int) []byte {
	return appendInc(make([]byte, 0, 9+room), fam, inc)
}

func appendInc(dst []byte, fam byte, inc uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, fam), inc)
}

func currentKey(inc uint64, key string) []byte {
	return appendCurrentKey(make([]byte, 0, 9+len(key)), inc, key)
}

func appendCurrentKey(dst []byte, inc uint64, key string) []byte {
	return append(appendInc(dst, famCurrent, inc), key...)
}

func objectPrefix(fam byte, inc uint64, key string) []byte {
	return appendEscaped(incKey(fam, inc, len(key)+20), key)
}

func entryKey(fam byte, inc uint64, key string, at uint64) []byte {
	return appendEntryKey(make([]byte, 0, 9+len(key)+10), fam, inc, key, at)
}

func appendEntryKey(dst []byte, fam byte, inc uint64, key string, at uint64) []byte {
	return binary.BigEndian.AppendUint64(appendEscaped(appendInc(dst, fam, inc), key), ^at)
}

func attrPrefix(inc uint64, key string, version uint64) []byte {
	return binary.BigEndian.AppendUint64(objectPrefix(famAttr, inc, key), version)
}

func bucketKey(name string) []byte { return append([]byte{famBucket}, name...) }

func bucketsKey(name string, at uint64) []byte {
	return binary.BigEndian.AppendUint64(appendEscaped([]byte{famBuckets}, name), ^at)
}

func uploadKey(inc uint64, key, upload string) []byte {
	return append(objectPrefix(famUpload, inc, key), upload...)
}

func partPrefix(upload string) []byte { return appendEscaped([]byte{famPart}, upload) }

func partKey(upload string, part int) []byte {
	return binary.BigEndian.AppendUint16(partPrefix(upload), uint16(part))
}

func named(fam byte, name string) []byte { return append([]byte{fam}, name...) }

func placeKey(id entry.ID) []byte { return append(append(make([]byte, 0, 33), famPlace), id[:]...) }

// after returns the smallest key above every key that begins with prefix; nil if there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// next returns the smallest key above k.
func next(k []byte) []byte { return append(bytes.Clone(k), 0) }
