package clienttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// absent ends a test whose client is not here: in CI it fails.
func absent(t *testing.T, what string, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("STELE_CLIENTS") == "all" {
		t.Fatalf("%s is missing: %v", what, why)
	}
	t.Skipf("%s is not installed: %v", what, why)
}

// TestBoto3 runs each boto3 that there is: the one on PATH, which may be new, and Debian's.
func TestBoto3(t *testing.T) {
	script, err := filepath.Abs("boto3_client.py")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil || seen[path] || exec.Command(path, "-c", "import boto3").Run() != nil {
			continue
		}
		seen[path] = true
		t.Run(name, func(t *testing.T) {
			c := open(t, path)
			t.Log(c.run(path, script, c.url, c.dir))
		})
	}
	if len(seen) == 0 {
		absent(t, "boto3", "no python3 can import it")
	}
}

// TestJavaScript runs the newest @aws-sdk/client-s3, installed from npm into a temporary folder.
func TestJavaScript(t *testing.T) {
	for _, p := range []string{"node", "npm"} {
		if _, err := exec.LookPath(p); err != nil {
			absent(t, p, err)
		}
	}
	c := open(t, "node")
	for _, f := range []string{"package.json", "client.mjs"} {
		b, err := os.ReadFile(filepath.Join("npm", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
	install.Dir = c.dir // with this machine's own settings, where its registry is named
	if out, err := install.CombinedOutput(); err != nil {
		absent(t, "@aws-sdk/client-s3", string(out))
	}
	t.Log(c.run("node", "client.mjs", c.url))
}
