//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// configuration is how an operator runs the server.
type configuration struct {
	name string
	// https is the scheme of the gate, and so of the issuer.
	https bool
	// path is what the issuer has behind the gate's address, mostly nothing.
	path string
	// flags prepares what the server needs and says how to start it.
	flags func(t *testing.T) []string
}

var (
	asInstalled = configuration{name: "as installed", flags: func(*testing.T) []string { return nil }}
	// theOtherWay has each setting the other way that changes what clients meet.
	theOtherWay = configuration{name: "the other way", https: true, path: "/api/auth", flags: func(t *testing.T) []string {
		t.Helper()
		database := pgtest.Database(t)
		for _, id := range []string{"my-app", "clawnet"} { // which has its id written into it
			runClients(t, database, "add", id, "--scope", "openid profile")
		}
		return []string{"--database", database, "--unregistered-clients", "refuse"}
	}}
)

// eachConfiguration runs a test in each configuration, at the same time.
func eachConfiguration(t *testing.T, test func(t *testing.T, c configuration)) {
	t.Helper()
	for _, c := range []configuration{asInstalled, theOtherWay} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

// runClients runs `countersign clients`, as an operator does on any machine, and returns
// what it prints for programs. With no database named, args say whose data it is.
func runClients(t *testing.T, database string, args ...string) string {
	t.Helper()
	return operate(t, database, append([]string{"clients"}, args...)...)
}

// operate is runClients for any command of an operator's.
func operate(t *testing.T, database string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "COUNTERSIGN_DATABASE="+database)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("countersign %v: %v: %s", args, err, said.Bytes())
	}
	return string(out)
}

// trustGates makes this program and those that it starts trust the certificate of
// httptest, beside the system's.
func trustGates(dir string) error {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	file := filepath.Join(dir, "gate.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if err := certifyPublicName(dir, roots); err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport)
	transport.TLSClientConfig, transport.DialContext = &tls.Config{RootCAs: roots}, dialPublicName
	for name, value := range map[string]string{"SSL_CERT_DIR": dir, "CURL_CA_BUNDLE": file, "NODE_EXTRA_CA_CERTS": file} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}
