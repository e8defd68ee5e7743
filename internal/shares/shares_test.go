package shares

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/crashtest"
	"stele/internal/durable"
	"stele/internal/keyring"
)

var update = flag.Bool("update", false, "write the golden files anew")

func kit(t testing.TB) *keyring.Kit {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return &keyring.Kit{StoreID: [16]byte{1, 2}, RecoveryIdentity: id.String(), VKey: "vkey+1+x", Created: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)}
}

func split(t testing.TB, k *keyring.Kit, n, anyOf int) []Named {
	of, err := Split(k, n, anyOf)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]Named, n)
	for i := range of {
		again, err := keyring.ParseShare(of[i].Text()) // as it comes back from paper
		if err != nil {
			t.Fatal(err)
		}
		out[i] = Named{fmt.Sprintf("%d.txt", i+1), again}
	}
	return out
}

// TestEverySubset: of every set of up to 6 shares each part that is large enough makes the kit again, in every byte, and no smaller one makes anything.
func TestEverySubset(t *testing.T) {
	for n := 2; n <= 6; n++ {
		for anyOf := 2; anyOf <= n; anyOf++ {
			k := kit(t)
			all := split(t, k, n, anyOf)
			for part := range 1 << n {
				var given []Named
				for i := range all {
					if part>>i&1 == 1 {
						given = append(given, all[i])
					}
				}
				got, err := Combine(given)
				if bits.OnesCount(uint(part)) < anyOf {
					if !errors.Is(err, ErrApart) || got != (keyring.Kit{}) {
						t.Fatalf("%d of %d, %d needed: %+v, %v", len(given), n, anyOf, got, err)
					}
				} else if err != nil || !bytes.Equal(got.Text(), k.Text()) {
					t.Fatalf("part %b of %d, %d needed: %v\n%s", part, n, anyOf, err, got.Text())
				}
			}
		}
	}
	k := kit(t)
	all := split(t, k, 255, 200)
	if got, err := Combine(all[55:]); err != nil || got != *k {
		t.Errorf("200 of 255: %v", err)
	}
}

// TestOrderIsFree: shares may be given in any order.
func TestOrderIsFree(t *testing.T) {
	k := kit(t)
	s := split(t, k, 3, 3)
	for _, o := range [][3]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		if got, err := Combine([]Named{s[o[0]], s[o[1]], s[o[2]]}); err != nil || got != *k {
			t.Errorf("%v: %v", o, err)
		}
	}
}

// TestTooFewTellNothing: with one share too few, every key is as likely as the true one. Whoever claims a threshold of one less, with texts that are whole in themselves, gets nothing: what comes out is not the key that
// the shares name. And for each key there is a share that makes just that key of the others.
func TestTooFewTellNothing(t *testing.T) {
	k := kit(t)
	all := split(t, k, 5, 3)
	lying := []Named{all[0], all[1]}
	for i := range lying {
		lying[i].Any = 2
	}
	if got, err := Combine(lying); !errors.Is(err, ErrApart) || got != (keyring.Kit{}) || !strings.Contains(err.Error(), "don't make the key that they name") {
		t.Errorf("%+v, %v", got, err)
	}
	// The third share that leads to any other key: the polynomial through two shares and that key at 0.
	other := kit(t).RecoveryIdentity
	p := elliptic.P384().Params().N
	at := func(i int) *big.Int { return new(big.Int).SetBytes(all[i].Value[:]) }
	secret, err := scalarOf(other)
	if err != nil {
		t.Fatal(err)
	}
	b, err := secret.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	third := lagrange(p, []int64{0, 1, 2}, []*big.Int{new(big.Int).SetBytes(b), at(0), at(1)}, 3)
	forged := all[2]
	third.FillBytes(forged.Value[:])
	if got, err := keyOf([]keyring.Share{all[0].Share, all[1].Share, forged.Share}); err != nil || got != other {
		t.Errorf("two shares exclude a key: %s, %v", got, err)
	}
	if _, err := Combine([]Named{all[0], all[1], forged}); !errors.Is(err, ErrApart) {
		t.Errorf("a forged share: %v", err)
	}
}

// lagrange evaluates at x the polynomial through points, modulo p: the formula of the textbook, beside the library's.
func lagrange(p *big.Int, xs []int64, ys []*big.Int, x int64) *big.Int {
	sum := new(big.Int)
	for i := range xs {
		term := new(big.Int).Set(ys[i])
		for j := range xs {
			if i != j {
				term.Mul(term, big.NewInt(x-xs[j]))
				term.Mul(term, new(big.Int).ModInverse(new(big.Int).Mod(big.NewInt(xs[i]-xs[j]), p), p))
			}
		}
		sum.Add(sum, term)
	}
	return sum.Mod(sum, p)
}

// TestGoldenSet: three of five shares that were made once make the golden kit, by Combine and by what docs/FORMAT.md says of the scheme, which needs this library for nothing.
func TestGoldenSet(t *testing.T) {
	text, err := os.ReadFile("../keyring/testdata/kit-v0.txt")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return filepath.Join("testdata", fmt.Sprintf("share-v0-%d-of-5.txt", i)) }
	if *update {
		for i, s := range split(t, &k, 5, 3) {
			if err := os.WriteFile(name(i+1), s.Text(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var given []Named
	var xs []int64
	var ys []*big.Int
	for _, i := range []int{5, 1, 4} {
		text, err := os.ReadFile(name(i))
		if err != nil {
			t.Fatal(err)
		}
		s, err := keyring.ParseShare(text)
		if err != nil || !bytes.Equal(s.Text(), text) {
			t.Fatalf("%s: %v", name(i), err)
		}
		given, xs, ys = append(given, Named{name(i), s}), append(xs, int64(s.Index)), append(ys, new(big.Int).SetBytes(s.Value[:]))
	}
	got, err := Combine(given)
	if err != nil || !bytes.Equal(got.Text(), text) {
		t.Errorf("%v\n%s", err, got.Text())
	}
	number := lagrange(elliptic.P384().Params().N, xs, ys, 0)
	number.Rsh(number, 30) // six digits of padding
	digits := make([]byte, 58)
	for i := range digits {
		digits[57-i] = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"[new(big.Int).And(number, big.NewInt(31)).Int64()]
		number.Rsh(number, 5)
	}
	if is := "AGE-SECRET-KEY-1" + string(digits); is != k.RecoveryIdentity || number.Sign() != 0 {
		t.Errorf("by the textbook: %s", is)
	}
}

func TestCountsRefused(t *testing.T) {
	k := kit(t)
	for _, c := range []struct {
		n, anyOf int
		says     string
	}{{5, 1, "the whole kit"}, {1, 1, "the whole kit"}, {5, 6, "above the 5 shares"}, {256, 3, "Take fewer"}, {0, 0, "Take 2 shares or more"}, {-3, 2, "Take 2 shares or more"}, {5, -1, "Take 2 shares or more"}, {1, 2, "Take 2 shares or more"}} {
		if of, err := Split(k, c.n, c.anyOf); !errors.Is(err, ErrCount) || of != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d, any %d: %d shares, %v", c.n, c.anyOf, len(of), err)
		}
	}
	k.RecoveryIdentity = "AGE-SECRET-KEY-1X"
	if _, err := Split(k, 3, 2); !errors.Is(err, keyring.ErrKit) {
		t.Errorf("no key: %v", err)
	}
}

func TestApart(t *testing.T) {
	k := kit(t)
	a, b := split(t, k, 5, 3), split(t, k, 5, 3)
	foreign := *k
	foreign.StoreID[0] = 9
	c := split(t, &foreign, 5, 3)
	lying, twin := a[2], a[2]
	lying.Shares, twin.Value = 7, b[2].Value
	twin.Name = "twin.txt"
	for _, x := range []struct {
		given []Named
		says  string
	}{
		{nil, "there is none"},
		{a[:2], "2 of the 3 that are needed: 1, 2 of set " + a[0].SetID() + ". Bring 1 more of these: 3-5"},
		{[]Named{a[3]}, "1 of the 3 that are needed: 4 of set " + a[0].SetID() + ". Bring 2 more of these: 1-3, 5"},
		{[]Named{a[0], b[1], a[2]}, "2.txt of set " + b[0].SetID()},
		{[]Named{a[0], a[1], c[2]}, "3.txt of store 0902"},
		{[]Named{a[0], a[1], a[1]}, "2.txt and 2.txt are the same share, number 2"},
		{[]Named{a[0], a[1], lying}, "tell other things"},
		{[]Named{a[0], a[2], twin}, "3.txt and twin.txt both say that they are share 3"},
		{[]Named{a[0], a[1], twin}, "1.txt, 2.txt, twin.txt is whole, and yet"},
	} {
		got, err := Combine(x.given)
		if !errors.Is(err, ErrApart) || !strings.Contains(err.Error(), x.says) || got != (keyring.Kit{}) {
			t.Errorf("%q is wanted: %v", x.says, err)
		}
	}
	// A number above the field is no share.
	a[1].Value = [48]byte(bytes.Repeat([]byte{0xff}, 48))
	if _, err := Combine(a[:3]); !errors.Is(err, ErrApart) || !strings.Contains(err.Error(), "above the field") {
		t.Errorf("a number above the field: %v", err)
	}
}

// TestWriteCrash cuts the power at each write, and fails each fsync, of writing a set: under the folder's name there are all of the shares, or none.
func TestWriteCrash(t *testing.T) {
	k := kit(t)
	of, err := Split(k, 4, 2)
	if err != nil {
		t.Fatal(err)
	}
	type told struct{ files []string }
	crashtest.Run(t, crashtest.Scenario[told]{
		Work: func(fsys vfs.FS, o *told) error {
			files, err := Write(fsys, "set", of)
			if err == nil {
				o.files = files
			}
			return err
		},
		Check: func(fsys vfs.FS, o *told) error {
			there, err := fsys.List("set")
			if err != nil && o.files == nil {
				return nil
			}
			if err != nil || len(there) != len(of) {
				return fmt.Errorf("%d shares are there: %v, %v", len(there), there, err)
			}
			for i := range of {
				if err := holds(fsys, fsys.PathJoin("set", FileName(&of[i])), of[i].Text()); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

func holds(fsys vfs.FS, name string, want []byte) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	got := make([]byte, len(want)+1)
	if n, _ := f.ReadAt(got, 0); !bytes.Equal(got[:n], want) {
		return fmt.Errorf("%s is %q", name, got[:n])
	}
	return nil
}

func TestWriteLeavesWhatIsThere(t *testing.T) {
	fsys := vfs.NewMem()
	of, err := Split(kit(t), 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(fsys, "set", of); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(fsys, "set", of[:1]); !errors.Is(err, durable.ErrExist) {
		t.Errorf("over a set: %v", err)
	}
	if there, err := fsys.List("set"); err != nil || len(there) != 2 {
		t.Errorf("%v, %v", there, err)
	}
	if there, err := fsys.List(""); err != nil || len(there) != 1 {
		t.Errorf("left over: %v, %v", there, err)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		of   []int
		want string
	}{{nil, ""}, {[]int{1}, "1"}, {[]int{1, 2}, "1, 2"}, {[]int{1, 3, 4, 5}, "1, 3-5"}, {[]int{1, 2, 3, 7, 9, 10}, "1-3, 7, 9, 10"}} {
		if got := Numbers(c.of); got != c.want {
			t.Errorf("%v: %q", c.of, got)
		}
	}
}
