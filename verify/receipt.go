// Package verify checks what Stele says (receipts, certificates, the succession of epochs) on any machine, offline. It trusts the public keys that the caller pins, and nothing else.
// It needs no server, no index and no key of the store; of this module it imports entry and tree alone.
package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"stele/entry"
	"stele/tree"
)

// ErrFailed says that a check was made and failed. Errors that are not ErrFailed left it undone: a file that cannot be
// read, a key that is not one.
var ErrFailed = errors.New("verification failed")

// ErrVersion says that nothing was judged: what was given is well signed, and of a version that this code does not know.
var ErrVersion = errors.New("this is of a newer version")

// badKey is the error of a verifier key that is not one: nothing was checked.
func badKey(err error) error {
	return fmt.Errorf("couldn't read the key, it should look like ORIGIN+HASH+KEY: %w", err)
}

// Report is what a good receipt proves.
type Report struct {
	Entry      entry.Entry     // what was recorded; all of it is proven
	Checkpoint tree.Checkpoint // the ledger's head that the proof leads to
	SHA256     entry.Hash      // of the file, as sha256sum prints it
	Size       int64           // bytes of the file
	Parts      int             // how many parts the object was uploaded in; 0: in one piece
}

// Receipt checks, offline, that receipt proves an entry of the ledger whose verifier key is vkey, and that file holds
// exactly the bytes which that entry names. The file of an object uploaded in parts is hashed part by part against the
// parts document in the receipt. File is read to its end, in constant memory.
func Receipt(receipt []byte, vkey string, file io.Reader) (Report, error) {
	v, err := tree.NewVerifier(vkey)
	if err != nil {
		return Report{}, badKey(err)
	}
	r, err := tree.ParseReceipt(receipt)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	e, err := r.Verify(vkey)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	head, err := v.Open(r.Checkpoint)
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if e.Type != entry.ObjectPut || e.Private.Body == nil {
		return Report{}, fmt.Errorf("%w: entry %d is a %s, it names no object's bytes", ErrFailed, e.Index, e.Type)
	}
	report := Report{Entry: e, Checkpoint: head}
	if b := e.Private.Body; b.Kind == entry.BodyParts {
		err = report.checkParts(r.Parts, b, file)
	} else {
		err = report.checkWhole(b, file)
	}
	if err != nil {
		return Report{}, err
	}
	return report, nil
}

// emptySum is the SHA-256 of no bytes, which an empty body need not carry.
var emptySum = entry.Hash(sha256.Sum256(nil))

func digestOf(b *entry.Body) entry.Hash {
	if b.Kind == entry.BodyEmpty {
		return emptySum
	}
	return b.SHA256
}

func (r *Report) checkWhole(b *entry.Body, file io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	if err != nil {
		return fmt.Errorf("couldn't read the file: %w", err)
	}
	r.SHA256, r.Size = entry.Hash(sum.Sum(nil)), n
	if want := digestOf(b); r.SHA256 != want || n != b.Size {
		return fmt.Errorf("%w: the file has %d bytes with SHA-256 %s, the entry says %d bytes with %s", ErrFailed, n, r.SHA256, b.Size, want)
	}
	return nil
}

func (r *Report) checkParts(document []byte, b *entry.Body, file io.Reader) error {
	if document == nil {
		return fmt.Errorf("%w: the object was uploaded in parts, and the receipt has no list of them: ask for the receipt again", ErrFailed)
	}
	parts, err := entry.ParseParts(document)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if parts.Size() != b.Size {
		return fmt.Errorf("%w: the parts have %d bytes, the entry says %d", ErrFailed, parts.Size(), b.Size)
	}
	whole := sha256.New()
	file = io.TeeReader(file, whole)
	for i := range parts {
		p, sum := &parts[i], sha256.New()
		n, err := io.Copy(sum, io.LimitReader(file, p.Body.Size))
		if err != nil {
			return fmt.Errorf("couldn't read the file: %w", err)
		}
		if got, want := entry.Hash(sum.Sum(nil)), digestOf(&p.Body); got != want || n != p.Body.Size {
			return fmt.Errorf("%w: part %d, from byte %d of the file, has %d bytes with SHA-256 %s, the entry says %d bytes with %s",
				ErrFailed, p.Number, r.Size, n, got, p.Body.Size, want)
		}
		r.Size += n
	}
	more, err := io.Copy(io.Discard, file)
	if err != nil {
		return fmt.Errorf("couldn't read the file: %w", err)
	}
	if more > 0 {
		return fmt.Errorf("%w: the file has %d bytes after its last part", ErrFailed, more)
	}
	r.SHA256, r.Parts = entry.Hash(whole.Sum(nil)), len(parts)
	return nil
}
