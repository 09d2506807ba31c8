//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// quickly compiles what is run once or twice: not optimized, and without what debuggers
// read. The standard library stays as everybody compiles it, so that it is there already.
var quickly = func() string {
	flags := []string{os.Getenv("GOFLAGS"), "'-ldflags=-s -w'"}
	for _, host := range []string{"cloud.google.com", "github.com", "go.opentelemetry.io", "golang.org", "google.golang.org", "k8s.io"} {
		flags = append(flags, "'-gcflags="+host+"/...=-N -l -dwarf=false'")
	}
	return "GOFLAGS=" + strings.Join(flags, " ")
}()

// gateway is the path of a program of e2e/gateways. It is built when it is first asked for,
// behind what else there is to do, and kept where Go keeps what it built.
func gateway(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nice", "go", "-C", "gateways", "tool", "-n", name)
	cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0", quickly), os.Stderr
	path, err := cmd.Output()
	if err != nil {
		t.Fatalf("building %s: %v", name, err)
	}
	return strings.TrimSpace(string(path))
}
