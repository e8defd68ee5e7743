package client

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoServer: who links the client links neither the server of the admin API nor that of S3.
func TestNoServer(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		if strings.HasPrefix(dep, "stele/internal/admin") || strings.HasPrefix(dep, "stele/internal/s3api") || strings.HasPrefix(dep, "stele/cmd") {
			t.Errorf("the client needs %s", dep)
		}
	}
}
