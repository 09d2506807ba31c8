//go:build e2e

package browser

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// front is the TLS proxy that stands before servers whose issuer is https. It
// listens before the browser starts, because that is when the browser is told
// where the names under example.org are.
type front struct {
	listener net.Listener
	server   *http.Server
	keyHash  string // of the certificate's key, as the browser wants it

	mu      sync.Mutex
	targets map[string]*url.URL // by host; nil until the server is known; guarded by mu
}

// Site is a name under example.org that the browser reaches over TLS. It takes
// part in a test like this:
//
//	site := browser.NewSite(t, "id")
//	server := start("--issuer", site.URL) // https://id.example.org
//	site.Serve(server.URL)
type Site struct {
	URL   string
	host  string
	front *front
}

// NewSite reserves https://NAME.example.org for a test.
func NewSite(t testing.TB, name string) *Site {
	t.Helper()
	s := &Site{host: name + ".example.org", front: theChromium(t).front}
	s.URL = "https://" + s.host
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	if _, taken := s.front.targets[s.host]; taken {
		t.Fatalf("%s is taken by another test at this moment: choose another name", s.host)
	}
	s.front.targets[s.host] = nil
	t.Cleanup(func() {
		s.front.mu.Lock()
		defer s.front.mu.Unlock()
		delete(s.front.targets, s.host)
	})
	return s
}

// Serve says which server answers for the site.
func (s *Site) Serve(server string) {
	target, err := url.Parse(server)
	if err != nil {
		panic(err) // a test's own mistake
	}
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	s.front.targets[s.host] = target
}

func newFront() (*front, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(public)
	f := &front{keyHash: base64.StdEncoding.EncodeToString(hash[:]), targets: map[string]*url.URL{}}
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	f.server = &http.Server{
		Handler: &httputil.ReverseProxy{Rewrite: f.rewrite, ErrorLog: log.New(io.Discard, "", 0)},
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		},
		ErrorLog:          log.New(io.Discard, "", 0), // a browser that ends breaks its connections
		ReadHeaderTimeout: time.Minute,
	}
	go f.server.ServeTLS(f.listener, "", "") //nolint:errcheck // it ends with close
	return f, nil
}

func (f *front) close() { f.server.Close() }

// rewrite sends a request on as a proxy of an operator does.
func (f *front) rewrite(r *httputil.ProxyRequest) {
	host := r.In.Host
	f.mu.Lock()
	target := f.targets[host]
	f.mu.Unlock()
	if target == nil {
		target = &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // nobody: 502
	}
	r.SetURL(target)
	r.Out.Host = host
	r.SetXForwarded()
}

// resolverRules lets the browser reach this machine and the sites, and nothing
// else in the world.
func (f *front) resolverRules() string {
	return fmt.Sprintf("MAP *.example.org %s, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1", f.listener.Addr())
}
