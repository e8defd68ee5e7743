package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stele": main})
}

// TestScripts runs a script for each verb, and those for what can go wrong, each in a folder of its own with the real program.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"S3", "ADMIN", "WITNESS", "ADMIN2", "S3B"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				defer l.Close()
				e.Setenv(name, l.Addr().String())
			}
			e.Setenv("AWS_CA_BUNDLE", "")
			e.Setenv("PATH", e.Getenv("PATH")+judges())
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    cmdExits,
			"ready":    cmdReady,
			"flip":     cmdFlip,
			"cut":      cmdCut,
			"poke":     cmdPoke,
			"mktree":   cmdMktree,
			"mkname":   cmdMkname,
			"churn":    cmdChurn,
			"halfway":  cmdHalfway,
			"setenv":   cmdSetenv,
			"sametree": cmdSameTree,
			"fetch":    cmdFetch,
			"needs":    cmdNeeds,
			"answers":  cmdAnswers,
			"newer":    cmdNewer,
		},
	})
}

// exits CODE COMMAND…: the command must end with that exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ee, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("couldn't run %v: %v", args[1:], err)
		}
		got = ee.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// judges are the folders, for PATH, where .ci/run puts the servers that are not Debian's.
func judges() (path string) {
	home, _ := os.UserHomeDir() // empty: the folder below is not there
	for _, dir := range []string{filepath.Dir(os.Getenv("STELE_VERSITYGW")), filepath.Join(home, ".cache/stele-ci")} {
		if filepath.IsAbs(dir) {
			path += string(filepath.ListSeparator) + dir
		}
	}
	return path
}

// ready [URL]: waits until the server on $ADMIN is ready, or the URL answers 200.
func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	url := "http://" + ts.Getenv("ADMIN") + "/healthz/ready"
	if len(args) > 0 {
		url = args[0]
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server is not ready: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // polling another process
	}
}

// needs PROGRAM: where CI installs it, a program that is missing is an error; elsewhere the script may leave out what needs it.
func cmdNeeds(ts *testscript.TestScript, neg bool, args []string) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(filepath.ListSeparator)) {
		if _, err := exec.LookPath(filepath.Join(dir, args[0])); err == nil {
			return
		}
	}
	if os.Getenv("CI") == "true" {
		ts.Fatalf("%s is missing; .ci/run installs it", args[0])
	}
}

// answers ADDRESS: waits until a server that is not ours takes connections.
func cmdAnswers(ts *testscript.TestScript, neg bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", args[0])
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing answers: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // polling another process
	}
}

// globOne is the only file that a pattern matches.
func globOne(ts *testscript.TestScript, pattern string) string {
	names, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("nothing matches %s", pattern)
	}
	return names[0]
}

// flip FILE OFFSET: inverts the bits of a byte; a negative offset counts from the end.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	name := globOne(ts, args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	if off < 0 {
		off += len(b)
	}
	b[off] ^= 0xff
	ts.Check(os.Chmod(name, 0o600))
	ts.Check(os.WriteFile(name, b, 0o600))
}

// newer FILE: makes a segment or a pack one of a newer format, whole: the version, and the header's checksum (docs/FORMAT.md).
func cmdNewer(ts *testscript.TestScript, neg bool, args []string) {
	name := globOne(ts, args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	b[9]++
	binary.BigEndian.PutUint32(b[92:], crc32.Checksum(b[:92], crc32.MakeTable(crc32.Castagnoli)))
	ts.Check(os.Chmod(name, 0o600))
	ts.Check(os.WriteFile(name, b, 0o600))
}

// poke FILE OFFSET HEX-BYTE: sets a byte.
func cmdPoke(ts *testscript.TestScript, neg bool, args []string) {
	name := globOne(ts, args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	v, err := strconv.ParseUint(args[2], 16, 8)
	ts.Check(err)
	b[off] = byte(v)
	ts.Check(os.WriteFile(name, b, 0o600))
}

// cut FILE BYTES: takes so many bytes from the file's end.
func cmdCut(ts *testscript.TestScript, neg bool, args []string) {
	name := globOne(ts, args[0])
	info, err := os.Stat(name)
	ts.Check(err)
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(name, info.Size()-n))
}

// mktree DIR N: makes N files of different content in a hundred folders.
func cmdMktree(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		dir := filepath.Join(ts.MkAbs(args[0]), fmt.Sprintf("d%02d", i%100))
		ts.Check(os.MkdirAll(dir, 0o777))
		ts.Check(os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%06d", i)), []byte(fmt.Sprintf("file %d\n", i)), 0o666))
	}
}

// mkname DIR QUOTED-NAME: makes a file whose name is given as a Go string.
func cmdMkname(ts *testscript.TestScript, neg bool, args []string) {
	name, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o777))
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), name), []byte("x"), 0o666))
}

// churn FILE: makes a file of 64 MiB and writes to it until the script ends.
func cmdChurn(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(f.Truncate(64 << 20))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := byte(0); ; i++ {
			select {
			case <-stop:
				f.Close()
				return
			default:
				f.WriteAt([]byte{i}, 64<<20+int64(i))
			}
		}
	}()
	ts.Defer(func() { close(stop); <-done })
}

// halfway LINES SIGNAL COMMAND…: runs a command that prints a line for each thing done, sends it a signal after so many lines, and leaves what it printed
// in the files out and err and its exit code in $CODE.
func cmdHalfway(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	sig := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}[args[1]]
	path, err := exec.LookPath(args[2])
	if err != nil {
		path = filepath.Join(strings.Split(ts.Getenv("PATH"), string(filepath.ListSeparator))[0], args[2])
	}
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "PATH="+ts.Getenv("PATH"), "STELE_DATA="+ts.Getenv("STELE_DATA"))
	errFile, err := os.Create(ts.MkAbs("err"))
	ts.Check(err)
	defer errFile.Close()
	cmd.Stderr = errFile
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	outFile, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	defer outFile.Close()
	buf, lines, sent := make([]byte, 4096), 0, false
	for {
		k, rerr := out.Read(buf)
		outFile.Write(buf[:k])
		lines += strings.Count(string(buf[:k]), "\n")
		if lines >= n && !sent {
			sent = true
			ts.Check(cmd.Process.Signal(sig))
		}
		if rerr != nil {
			break
		}
	}
	cmd.Wait()
	if !sent {
		ts.Fatalf("it ended after %d lines", lines)
	}
	ts.Setenv("CODE", strconv.Itoa(cmd.ProcessState.ExitCode()))
	ts.Setenv("LINES", strconv.Itoa(lines))
}

// setenv NAME REGEXP-FREE-PREFIX FILE: sets NAME to the word behind the first line of FILE that begins with the prefix, spaces aside.
func cmdSetenv(ts *testscript.TestScript, neg bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), args[1]); ok {
			ts.Setenv(args[0], strings.Fields(rest)[0])
			return
		}
	}
	ts.Fatalf("no line of %s begins with %q", args[2], args[1])
}

// sametree A B: both trees have the same names, types, contents, permissions, modification times of files, and link targets.
func cmdSameTree(ts *testscript.TestScript, neg bool, args []string) {
	a, b := describeTree(ts, ts.MkAbs(args[0])), describeTree(ts, ts.MkAbs(args[1]))
	if a != b {
		ts.Fatalf("the trees differ:\n--- %s\n%s--- %s\n%s", args[0], a, args[1], b)
	}
}

func describeTree(ts *testscript.TestScript, root string) string {
	var out strings.Builder
	ts.Check(filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir():
			fmt.Fprintf(&out, "%q folder\n", rel)
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "%q -> %q\n", rel, target)
		default:
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "%q %s %d %q\n", rel, info.Mode(), info.ModTime().UnixNano(), body)
		}
		return nil
	}))
	return out.String()
}

// fetch PATH STATUS: gets a path of the admin port, or a URL, without a signature; the answer goes into the file answer.
func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	url := args[0]
	if strings.HasPrefix(url, "/") {
		url = "http://" + ts.Getenv("ADMIN") + url
	}
	resp, err := http.Get(url)
	ts.Check(err)
	defer resp.Body.Close()
	f, err := os.Create(ts.MkAbs("answer"))
	ts.Check(err)
	defer f.Close()
	_, err = f.ReadFrom(resp.Body)
	ts.Check(err)
	if got := strconv.Itoa(resp.StatusCode); got != args[1] {
		ts.Fatalf("GET %s: status %s, want %s", args[0], got, args[1])
	}
}
