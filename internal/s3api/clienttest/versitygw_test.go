package clienttest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestVersitygw runs cases of `versitygw test` (github.com/versity/versitygw v1.8.0) one by one. testdata/versitygw-pass.txt lists those that must pass,
// versitygw-excluded.txt all others, each with its reason. About 150 run, across all groups; all with STELE_VERSITYGW_ALL=1. STELE_VERSITYGW is the binary, else it is looked for
// on PATH and in ~/.cache/stele-peers/bin.
func TestVersitygw(t *testing.T) {
	bin := versitygw(t)
	pass, excluded := cases(t, "versitygw-pass.txt"), cases(t, "versitygw-excluded.txt")
	t.Run("lists", func(t *testing.T) { listsAreComplete(t, bin, pass, excluded) })
	if os.Getenv("STELE_VERSITYGW_ALL") == "" {
		pass = sample(pass, 150)
	}
	work := make(chan string)
	var wg sync.WaitGroup
	for i := range 4 { // most cases wait for their own client
		wg.Go(func() {
			t.Run(fmt.Sprint("worker", i), func(t *testing.T) {
				c := open(t, bin)
				for name := range work {
					t.Run(name, func(t *testing.T) { c.judge(t, bin, name) })
					if t.Failed() {
						c = open(t, bin) // a case that failed leaves its bucket, whose name the next one wants
					}
				}
			})
		})
	}
	for _, name := range pass {
		work <- name
	}
	close(work)
	wg.Wait()
}

// versitygw finds the binary.
func versitygw(t *testing.T) string {
	t.Helper()
	home, _ := os.UserHomeDir() // empty: the path below is not there
	for _, at := range []string{os.Getenv("STELE_VERSITYGW"), "versitygw", filepath.Join(home, ".cache/stele-peers/bin/versitygw")} {
		if path, err := exec.LookPath(at); at != "" && err == nil {
			return path
		}
	}
	if os.Getenv("STELE_CLIENTS") == "all" {
		t.Fatal("versitygw is missing: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, and name it in STELE_VERSITYGW")
	}
	t.Skip("versitygw is not installed")
	return ""
}

// judge runs one case.
func (c *client) judge(t *testing.T, bin, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "test", "-a", accessKey, "-s", secretKey, "-e", c.url, name, "-vs")
	cmd.Dir = c.dir
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") { // it fails to start where AWS_CA_BUNDLE is set
			cmd.Env = append(cmd.Env, e)
		}
	}
	out, err := cmd.CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "PASS") || strings.Contains(text, "FAIL") {
		t.Fatalf("%v\n%s", err, text)
	}
}

// cases reads a list: a name a line, then perhaps its reason; lines with # are comments.
func cases(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for in := bufio.NewScanner(f); in.Scan(); {
		name, _, _ := strings.Cut(in.Text(), " ")
		if name != "" && name != "#" {
			names = append(names, name)
		}
	}
	return names
}

// sample takes about n names, evenly over a sorted list.
func sample(names []string, n int) []string {
	slices.Sort(names)
	var out []string
	for i := 0; i < len(names); i += max(1, len(names)/n) {
		out = append(out, names[i])
	}
	return out
}

var caseLine = regexp.MustCompile(`(?m)^   (\S+)\s+Runs (\S+) integration test$`)

// listsAreComplete fails if a case of the program is in neither list, or in both.
func listsAreComplete(t *testing.T, bin string, pass, excluded []string) {
	out, err := exec.CommandContext(t.Context(), bin, "test", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, n := range slices.Concat(pass, excluded) {
		listed[n]++
	}
	known := caseLine.FindAllStringSubmatch(string(out), -1)
	if len(known) < 1000 {
		t.Fatalf("the program lists %d cases only", len(known))
	}
	for _, m := range known {
		if n := listed[m[1]]; n != 1 {
			t.Errorf("%s is in %d of the two lists", m[1], n)
		}
		delete(listed, m[1])
	}
	for n := range listed {
		t.Errorf("%s is no case of the program", n)
	}
}
