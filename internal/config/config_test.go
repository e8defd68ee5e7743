package config

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	for text, want := range map[string]string{
		"listne: x\n":                 "line 1: unknown key listne",
		"data: a\ndata: b\n":          "already defined",
		"stop-timeout: soon\n":        "line 1",
		"max-requests: many\n":        "line 1",
		"data: [a]\n":                 "line 1",
		"data: a\n---\ndata: b\n":     "second document",
		"- data\n":                    "line 1",
		"data: \"unclosed\n":          "line",
		"tls_cert: with-underscore\n": "unknown key tls_cert",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q on one line", text, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("# all of it\ndata: /srv\nstop-timeout: 1m30s\nmax-requests: 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Data != "/srv" || c.StopTimeout != 90*time.Second || c.MaxRequests != 5 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
	if _, err := Load(path + ".none"); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestMerge(t *testing.T) {
	c := Merge(Config{Listen: "flag"}, Config{Listen: "file", Admin: "file"})
	c = Merge(c, Default)
	if c.Listen != "flag" || c.Admin != "file" || c.Region != Default.Region || c.StopTimeout != Default.StopTimeout {
		t.Errorf("%+v", c)
	}
	if err := Default.Check(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"listen": func(c *Config) { c.Listen = "9000" }, "admin": func(c *Config) { c.Admin = "" }, "tls": func(c *Config) { c.TLS = "yes" },
		"tls-cert": func(c *Config) { c.TLSCert = "x" }, "tls and tls-cert": func(c *Config) { c.TLS, c.TLSCert, c.TLSKey = "self", "a", "b" },
		"log": func(c *Config) { c.Log = "loud" }, "log-format": func(c *Config) { c.LogFormat = "xml" }, "stop-timeout": func(c *Config) { c.StopTimeout = -1 },
		"max-requests": func(c *Config) { c.MaxRequests = -1 }, "root-access-key": func(c *Config) { c.RootAccessKey = "ROOT" },
		"root-secret-key-file": func(c *Config) { c.RootAccessKey, c.RootSecretKeyFile = "ROOT", "/nonexistent" },
		"root-secret-key":      func(c *Config) { c.RootAccessKey, c.RootSecretKey = "ROOT", "short" },
	} {
		c := Default
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Default
	c.Admin, c.Log, c.TLS = Off, Off, "self"
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if l, err := c.Level(); err != nil || l <= slog.LevelError {
		t.Errorf("off logs at %v, %v", l, err)
	}
}

func TestRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("  long-enough-secret \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{RootAccessKey: "ROOT", RootSecretKeyFile: path}
	if id, secret, err := c.Root(); id != "ROOT" || secret != "long-enough-secret" || err != nil {
		t.Errorf("%q %q %v", id, secret, err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Root(); err == nil {
		t.Error("an empty secret file is taken")
	}
}

// TestFields: every field has a YAML name in the way of flags, and a help text that is its flag's.
func TestFields(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.Anonymous {
			continue // its own fields follow
		}
		if name := f.Tag.Get("yaml"); name == "" || name != strings.ToLower(name) || strings.Contains(name, "_") {
			t.Errorf("%s: yaml name %q", f.Name, name)
		}
		if f.Name != "Data" && f.Tag.Get("help") == "" {
			t.Errorf("%s has no help", f.Name)
		}
	}
}
