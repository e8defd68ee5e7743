package keyring

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"

	"stele/internal/engine"
	"stele/internal/frame"
)

const maxFile = 1 << 20

// maxNumber is far more than there will ever be keyrings: behind a file of the highest number there must be another one.
const maxNumber = math.MaxInt32

// SaveTo is Save for recipients as a keyring names them: age1….
func SaveTo(ctx context.Context, e engine.Engine, k *Keyring, recipients []string) error {
	to := make([]age.Recipient, len(recipients))
	for i, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return fmt.Errorf("couldn't wrap the keyring to %q: %w", text, err)
		}
		to[i] = r
	}
	return Save(ctx, e, k, to...)
}

// Save wraps k to the recipients and stores it as the newest keyring. It notes them in k.Recipients. When it returns nil the file is
// durable; engine.ErrExist says that another process saved one at the same time.
func Save(ctx context.Context, e engine.Engine, k *Keyring, recipients ...age.Recipient) error {
	if len(recipients) == 0 {
		return errors.New("couldn't save the keyring: nobody to wrap it to")
	}
	named := *k
	named.Recipients = nil
	for _, r := range recipients {
		if s, ok := r.(fmt.Stringer); ok {
			named.Recipients = append(named.Recipients, s.String())
		}
	}
	plain, err := named.Append(nil)
	if err != nil {
		return err
	}
	if _, err := Parse(plain); err != nil { // never store what would not open again
		return fmt.Errorf("couldn't save the keyring: %w", err)
	}
	all, err := numbers(ctx, e)
	if err != nil {
		return err
	}
	next := 1
	if len(all) > 0 {
		next = all[len(all)-1] + 1
	}
	var file bytes.Buffer
	w, err := age.Encrypt(&file, recipients...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("couldn't wrap the keyring: %w", err)
	}
	name := FileName(next)
	if err := e.Create(ctx, name, int64(file.Len()), &file); err != nil {
		return fmt.Errorf("couldn't save the keyring: %w", err)
	}
	k.Recipients = named.Recipients
	return nil
}

// Load opens the newest keyring with one of the identities. ErrNone: there is no keyring. ErrWrongKey: no identity opens it.
func Load(ctx context.Context, e engine.Engine, identities ...age.Identity) (*Keyring, error) {
	return LoadEpoch(ctx, e, math.MaxUint32, identities...)
}

// Newest opens the newest keyring that opens, and passes over those that don't: it tells which epochs may have begun. ErrNone: there is no keyring; ErrWrongKey or frame.ErrCorrupt: none opens.
func Newest(ctx context.Context, e engine.Engine, identities ...age.Identity) (*Keyring, error) {
	var first error
	for below := math.MaxInt; ; {
		k, last, err := load(ctx, e, below, func(*Keyring) bool { return true }, identities)
		switch {
		case notOurs(err):
			below, first = last, cmp.Or(first, err)
		case err == nil && k == nil:
			return nil, cmp.Or(first, ErrNone)
		default:
			return k, err
		}
	}
}

// LoadEpoch opens the newest keyring that is not of a later epoch than the one asked for: the keyring of a new epoch is there before its ledger is, and a crash in between
// leaves it unused. Errors as Load's.
func LoadEpoch(ctx context.Context, e engine.Engine, epoch uint32, identities ...age.Identity) (*Keyring, error) {
	unused := 0
	fits := func(k *Keyring) bool {
		if k.Epoch > epoch {
			unused++
		}
		return k.Epoch <= epoch
	}
	k, last, err := load(ctx, e, math.MaxInt, fits, identities)
	if notOurs(err) && epoch < math.MaxUint32 {
		if k, passed := beneath(ctx, e, last, epoch, identities); k != nil {
			k.Passed = passed
			return k, nil
		}
	}
	if err == nil && k == nil {
		err = fmt.Errorf("%w of epoch %d or before: copy it back from a backup", ErrNone, epoch)
	} else if err != nil && unused > 0 {
		err = fmt.Errorf("%w. Those behind %s are of an epoch that was not begun: run the promotion again, with the recovery key", err, FileName(last))
	}
	return k, err
}

// notOurs says that a keyring file was read and does not open: it is damaged, wrapped to others, or was never a keyring.
func notOurs(err error) bool { return errors.Is(err, ErrWrongKey) || errors.Is(err, frame.ErrCorrupt) }

// beneath looks, behind a file that does not open, for the keyring of exactly that epoch, and returns the names of the files that it passed over. Anyone who can write into the folder can put a file
// there that is named as the newest keyring, and it must not stop the store. Nothing is lost by passing over one, if it should be real: all keyrings of one epoch have the same signer and the same
// data keys, and differ in whom they are wrapped to. That of a later epoch is not passed over once its ledger is there, since none of that epoch is found then.
func beneath(ctx context.Context, e engine.Engine, below int, epoch uint32, identities []age.Identity) (*Keyring, []string) {
	passed := []string{FileName(below)}
	for {
		k, last, err := load(ctx, e, below, func(k *Keyring) bool { return k.Epoch <= epoch }, identities)
		switch {
		case notOurs(err):
			passed, below = append(passed, FileName(last)), last
		case err != nil || k == nil || k.Epoch != epoch:
			return nil, nil
		default:
			return k, passed
		}
	}
}

// LoadSigner opens the newest keyring whose signer has that verifier key. One that does not open is passed over: it may be of another epoch, or nobody's. ErrWrongKey: there is none that opens.
func LoadSigner(ctx context.Context, e engine.Engine, vkey string, identities ...age.Identity) (*Keyring, error) {
	var wrapped error
	for below := math.MaxInt; ; {
		k, name, err := load(ctx, e, below, func(k *Keyring) bool { own, err := k.VKey(); return err == nil && own == vkey }, identities)
		switch {
		case notOurs(err):
			below, wrapped = name, cmp.Or(wrapped, err)
			continue
		case err == nil && k == nil:
			err = cmp.Or(wrapped, fmt.Errorf("%w: no keyring here is that of %s", ErrWrongKey, vkey))
		}
		return k, err
	}
}

// load opens the keyrings with numbers below one, the newest first, up to the one that fits, and returns the number of the last one that it opened, or failed to; nil: none fits.
func load(ctx context.Context, e engine.Engine, below int, fits func(*Keyring) bool, identities []age.Identity) (k *Keyring, last int, err error) {
	numbers, err := numbers(ctx, e)
	if err != nil {
		return nil, 0, err
	}
	if len(numbers) == 0 {
		return nil, 0, fmt.Errorf("%w: there is nothing in %s. If this is a store's folder, copy its %s back from a backup", ErrNone, engine.Keyrings, engine.Keyrings)
	}
	for _, n := range slices.Backward(numbers) {
		if n >= below {
			continue
		}
		file, err := read(ctx, e, FileName(n))
		if err != nil {
			return nil, n, fmt.Errorf("couldn't read %s: %w", FileName(n), err)
		}
		k, err := open(file, identities)
		if err != nil {
			return nil, n, fmt.Errorf("couldn't open %s: %w", FileName(n), err)
		}
		if fits(k) {
			return k, n, nil
		}
	}
	return nil, 0, nil
}

// FileName is the name of the keyring of that number.
func FileName(n int) string { return fmt.Sprintf("%s%06d", engine.Keyrings, n) }

// Number is the number in a keyring's name; false if it isn't one.
func Number(name string) (int, bool) {
	v, err := strconv.Atoi(strings.TrimPrefix(name, engine.Keyrings))
	return v, err == nil && v > 0 && v <= maxNumber && name == FileName(v)
}

func open(file []byte, identities []age.Identity) (*Keyring, error) {
	if len(identities) == 0 {
		return nil, fmt.Errorf("%w: no key was given. Give the store's identity file, or the recovery kit with --recovery-key", ErrWrongKey)
	}
	r, err := age.Decrypt(bytes.NewReader(file), identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("%w: it is wrapped to other keys than the one given. Give the identity file of this store, or its recovery kit with --recovery-key", ErrWrongKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w. Copy the file back from a backup", err, frame.ErrCorrupt)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, fmt.Errorf("%v: %w. Copy the file back from a backup", err, frame.ErrCorrupt)
	}
	return Parse(plain)
}

// numbers lists the numbers of the keyrings, ascending.
func numbers(ctx context.Context, e engine.Engine) (all []int, err error) {
	err = e.List(ctx, engine.Keyrings, func(i engine.Info) error {
		if v, ok := Number(i.Name); ok {
			all = append(all, v)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't look for keyrings: %w", err)
	}
	slices.Sort(all)
	return all, nil
}

func read(ctx context.Context, e engine.Engine, name string) ([]byte, error) {
	f, err := e.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > maxFile {
		return nil, fmt.Errorf("%d bytes: %w", f.Size(), frame.ErrCorrupt)
	}
	b := make([]byte, f.Size())
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		return b, nil
	}
	return nil, fmt.Errorf("couldn't read it whole: %w", errors.Join(err, io.ErrUnexpectedEOF))
}
