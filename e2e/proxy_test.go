//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/storage/postgres/pgtest"
)

// publicName is the name that the operator's guide gives the server.
const publicName = "id.example.org"

// proxyCertificate is where certificate and key of publicName are, together.
var proxyCertificate string

// certifyPublicName makes a certificate of publicName, which the program that makes
// the requests trusts.
func certifyPublicName(dir string, roots *x509.CertPool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: publicName}, DNSNames: []string{publicName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	roots.AppendCertsFromPEM(certificate)
	proxyCertificate = filepath.Join(dir, publicName+".key-and-certificate")
	return os.WriteFile(proxyCertificate, append(certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), 0o600)
}

// dialPublicName finds publicName on this machine, and comes to it from another
// address than its proxy comes from.
func dialPublicName(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{}
	if port, is := strings.CutPrefix(address, publicName+":"); is {
		address = "127.0.0.1:" + port
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	return dialer.DialContext(ctx, network, address)
}

// proxyProgram is a program that the operator's guide has a block for.
type proxyProgram struct {
	name string
	// around is what stands around a block: %[1]s is the block, %[2]s a directory.
	around string
	// ours are what a block has of the operator's machine, and what the test has there.
	ours func(port string) []string
	run  []string
}

var proxyPrograms = map[string]proxyProgram{
	"nginx": {
		name: "nginx",
		around: `daemon off; worker_processes 2; pid %[2]s/pid; error_log stderr; events {}
http {
  access_log off; client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;
%[1]s
}
`,
		ours: func(port string) []string {
			return []string{"listen 443 ssl;", "listen 127.0.0.1:" + port + " ssl;", "/etc/ssl/" + publicName + ".pem", proxyCertificate, "/etc/ssl/private/" + publicName + ".key", proxyCertificate}
		},
		run: []string{"-c"},
	},
	"caddy": {
		name:   "caddy",
		around: "{\n\tadmin off\n\tauto_https disable_redirects\n}\n%[1]s\n",
		ours: func(port string) []string {
			return []string{publicName + " {", "https://" + publicName + ":" + port + " {\n\ttls " + proxyCertificate + " " + proxyCertificate}
		},
		run: []string{"run", "--adapter", "caddyfile", "--config"},
	},
	"haproxy": {
		name:   "haproxy",
		around: "%[1]s\n",
		ours: func(port string) []string {
			return []string{"bind :443 ", "bind 127.0.0.1:" + port + " ", "/etc/haproxy/" + publicName + ".pem", proxyCertificate}
		},
		run: []string{"-db", "-f"},
	},
}

var (
	printedBlock  = regexp.MustCompile("(?ms)^ *```(nginx|caddy|haproxy)\n(.*?)^ *```")
	printedServer = regexp.MustCompile(`(127\.0\.0\.1|10\.0\.0\.[0-9]+):8628`)
)

// proxied is a block of the guide that runs, before as many servers as it names.
type proxied struct {
	t     *testing.T
	url   string
	nodes []*process
	flags []string
}

// TestB22_EachProxyOfTheGuideRunsAsItIsPrinted runs the blocks of docs/operations.md.
func TestB22_EachProxyOfTheGuideRunsAsItIsPrinted(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	pg, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	seen := map[string]bool{}
	for n, block := range printedBlock.FindAllStringSubmatch(string(guide), -1) {
		program := proxyPrograms[block[1]]
		seen[program.name] = true
		t.Run(fmt.Sprintf("%s %d", program.name, n), func(t *testing.T) {
			p := startProxied(t, pg, program, block[2])
			p.checkFlow()
			p.checkBodies()
			p.checkOutage(pg)
			p.checkRestart()
		})
	}
	if len(seen) != len(proxyPrograms) {
		t.Errorf("the guide has blocks for %v only", seen)
	}
}

// startProxied starts the servers that a block names, and the proxy before them.
func startProxied(t *testing.T, pg *pgtest.Cluster, program proxyProgram, block string) *proxied {
	t.Helper()
	database, err := pg.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	runClients(t, database, "add", "my-app", "--scope", "openid profile")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	p := &proxied{t: t, url: "https://" + publicName + ":" + port}
	p.flags = []string{"--database", database, "--secret-file", secret, "--issuer", p.url, "--trusted-proxies", "127.0.0.1", "--device-poll-interval", "1s"}
	replace := program.ours(port)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(block, replace[i]) {
			t.Fatalf("the block has no %q", replace[i])
		}
	}
	named := map[string]bool{}
	for _, address := range printedServer.FindAllString(block, -1) {
		if !named[address] {
			named[address] = true
			node := startProcess(t, dir, p.flags...)
			p.nodes = append(p.nodes, node)
			replace = append(replace, address, strings.TrimPrefix(node.url, "http://"))
		}
	}
	config := filepath.Join(dir, "proxy.conf")
	text := fmt.Sprintf(program.around+"%.0[2]s", strings.NewReplacer(replace...).Replace(block), dir)
	if program.name == "nginx" && os.Geteuid() == 0 { // its workers use our temporary directories
		text = "user root;\n" + text
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.startProgram(program, dir, config)
	return p
}

func (p *proxied) startProgram(program proxyProgram, dir, config string) {
	t := p.t
	t.Helper()
	path, err := exec.LookPath(program.name)
	if err != nil { // Debian keeps daemons where people need not have them in their PATH
		if path, err = exec.LookPath("/usr/sbin/" + program.name); err != nil {
			t.Fatalf("tools/setup installs %s: %v", program.name, err)
		}
	}
	cmd := exec.Command(path, append(program.run, config)...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = said.Close()
		if text, err := os.ReadFile(said.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", program.name, text)
		}
	})
	within(t, 20*time.Second, program.name+" does not serve", func() bool {
		a, err := p.ask(http.MethodGet, "/healthz", nil)
		return err == nil && a.status == http.StatusOK
	})
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// through is an answer that came through the proxy.
type through struct {
	status int
	header http.Header
	body   string
}

func (a through) member(name string) string {
	var members map[string]any
	if json.Unmarshal([]byte(a.body), &members) != nil {
		return ""
	}
	text, _ := members[name].(string)
	return text
}

// ask sends a form, or nothing, through the proxy.
func (p *proxied) ask(method, path string, form url.Values, header ...string) (through, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return through{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return through{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return through{resp.StatusCode, resp.Header, string(body)}, err
}

// want is ask for an answer with a status.
func (p *proxied) want(status int, method, path string, form url.Values, header ...string) through {
	p.t.Helper()
	a, err := p.ask(method, path, form, header...)
	if err != nil || a.status != status {
		p.t.Errorf("%s %s is answered %d, want %d (%v): %.300s", method, path, a.status, status, err, a.body)
	}
	return a
}

var codeForm = url.Values{"client_id": {"my-app"}, "scope": {"openid profile"}}

// checkFlow goes through RFC 8628 with a poll that waits, and looks at what the
// server knows of who asked and what it is called.
func (p *proxied) checkFlow() {
	t := p.t
	t.Helper()
	if a := p.want(http.StatusOK, http.MethodGet, "/.well-known/oauth-authorization-server", nil); a.member("issuer") != p.url || a.member("device_authorization_endpoint") != p.url+"/api/auth/device/code" {
		t.Errorf("the metadata says %.300s", a.body)
	}
	o := newOwner(t)
	o.signIn(t, p.url)
	// The network of this machine is known only if the proxy's word for it counts, and
	// what a client says for itself does not.
	for _, header := range [][]string{{}, {"X-Forwarded-For", "203.0.113.7"}, {"Forwarded", "for=203.0.113.7"}} {
		code := p.want(http.StatusOK, http.MethodPost, "/api/auth/device/code", codeForm, header...)
		if !strings.HasPrefix(code.member("verification_uri"), p.url+"/") {
			t.Errorf("%v: verification_uri is %q", header, code.member("verification_uri"))
		}
		polled := make(chan through, 1)
		go func() {
			a, err := p.ask(http.MethodPost, "/api/auth/device/token", pollForm(code.member("device_code")), append(header, "Prefer", "wait=30")...)
			if err != nil {
				t.Errorf("the poll: %v", err)
			}
			polled <- a
		}()
		if err := o.decide(t.Context(), p.url, code.member("user_code"), "approve"); err != nil {
			t.Error(err)
		}
		if a := <-polled; a.status != http.StatusOK || a.member("access_token") == "" {
			t.Errorf("%v: the poll that waited is answered %d %.300s", header, a.status, a.body)
		}
	}
	grants := p.want(http.StatusOK, http.MethodGet, "/api/grants", nil, "Cookie", o.cookie, "Origin", p.url, "Sec-Fetch-Site", "same-origin")
	if strings.Count(grants.body, `"network":"loopback"`) != 3 {
		t.Errorf("who asked is not known: %.600s", grants.body)
	}
	p.want(http.StatusForbidden, http.MethodPost, "/api/grants/revoke", nil, "Cookie", o.cookie, "Origin", "https://other.example", "Content-Type", "application/json")
}

// checkBodies sends the largest body that the server takes, and one byte more.
func (p *proxied) checkBodies() {
	p.t.Helper()
	const most = 64 << 10
	form := func(size int) url.Values {
		f := url.Values{"client_id": {"my-app"}, "scope": {"openid"}, "padding": {""}}
		f.Set("padding", strings.Repeat("x", size-len(f.Encode())))
		return f
	}
	p.want(http.StatusOK, http.MethodPost, "/api/auth/device/code", form(most))
	if a := p.want(http.StatusRequestEntityTooLarge, http.MethodPost, "/api/auth/device/code", form(most+1)); a.member("error") != "invalid_request" {
		p.t.Errorf("a body that is too large is refused by somebody else: %.300s", a.body)
	}
}

// checkOutage stops the database: each answer is the server's own, and the first
// one after the servers work again is good.
func (p *proxied) checkOutage(pg *pgtest.Cluster) {
	t := p.t
	t.Helper()
	if err := pg.Stop(t.Context(), pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	const rounds, atOnce = 3, 4
	for range rounds {
		var wg sync.WaitGroup
		for range atOnce {
			wg.Go(func() {
				a := p.want(http.StatusServiceUnavailable, http.MethodPost, "/api/auth/device/code", codeForm)
				if a.header.Get("Retry-After") != "2" || a.member("error") != "temporarily_unavailable" {
					t.Errorf("without the database: %d, Retry-After %q, %.300s", a.status, a.header.Get("Retry-After"), a.body)
				}
			})
		}
		wg.Wait()
	}
	if err := pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.works()
}

// checkRestart ends the servers and starts them where they were, with somebody
// asking meanwhile.
func (p *proxied) checkRestart() {
	t := p.t
	t.Helper()
	for _, node := range p.nodes {
		node.stop(t)
	}
	for range 3 {
		if a, err := p.ask(http.MethodGet, "/healthz", nil); err != nil || a.status < http.StatusBadGateway {
			t.Errorf("without a server: %d %v", a.status, err)
		}
	}
	for i, node := range p.nodes {
		p.nodes[i] = startProcess(t, t.TempDir(), append(p.flags, "--listen", strings.TrimPrefix(node.url, "http://"))...)
	}
	p.works()
}

// works waits for every server by itself, and from then on wants good answers only.
func (p *proxied) works() {
	t := p.t
	t.Helper()
	for _, node := range p.nodes {
		within(t, 10*time.Second, "a server does not work", func() bool {
			var code struct {
				DeviceCode string `json:"device_code"`
			}
			return ask(t.Context(), node.url+"/api/auth/device/code", codeForm, &code) && code.DeviceCode != ""
		})
	}
	for range 2 * len(p.nodes) {
		p.want(http.StatusOK, http.MethodPost, "/api/auth/device/code", codeForm)
	}
}
