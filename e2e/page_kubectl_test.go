//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// cluster is a cluster of docs/guides/kubectl.md, of which there is what people need to get
// in: kubelogin, and an API server's judgement of what they bring.
type cluster struct {
	*guide
	issuer string
	// opened is where a desktop says what its browser is to open.
	opened string
}

func clusterOf(t *testing.T) *cluster {
	t.Helper()
	program, data := gateway(t, "kubelogin"), t.TempDir()
	c := &cluster{issuer: issuerOf(t, startProcess(t, data, "--device-poll-interval", "1s").url)}
	c.guide = openGuide(t, "kubectl.md", "https://id.example", c.issuer)
	c.at(c.issuer, data)
	bin := t.TempDir()
	c.opened = filepath.Join(bin, "opened")
	c.env = append(c.env, "PATH="+bin+":"+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	if err := os.Symlink(program, filepath.Join(bin, "kubelogin")); err != nil {
		t.Fatal(err)
	}
	// A desktop's opener of addresses: it hands them to the browser of the test.
	c.run("mkfifo " + c.opened)
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte("#!/bin/sh\necho \"$1\" >"+c.opened+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.run(c.blocks["register"])
	return c
}

// exec is the command that kubectl runs, as the kubeconfig of the guide has it.
func (c *cluster) exec() string {
	config := c.blocks["kubeconfig"]
	words := regexp.MustCompile(`command: (\S+)`).FindStringSubmatch(config)[1:]
	for _, arg := range regexp.MustCompile(`(?m)^      - (\S+)$`).FindAllStringSubmatch(config, -1) {
		words = append(words, arg[1])
	}
	return strings.Join(words, " ")
}

// credential is what a command brings that kubectl runs for one.
type credential struct {
	*testing.T
	*exec.Cmd
	lines        *bufio.Reader // what it tells its user
	said, stdout bytes.Buffer
}

// credential runs a command as kubectl does.
func (c *cluster) credential(command string, more ...string) *credential {
	c.Helper()
	got := &credential{T: c.T, Cmd: exec.CommandContext(c.Context(), "bash", "-euc", strings.TrimSpace(command)+" "+strings.Join(more, " "))}
	got.Env = append(c.env, `KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`)
	got.Stdout = &got.stdout
	stderr, err := got.StderrPipe()
	if err != nil {
		c.Fatal(err)
	}
	got.lines = bufio.NewReader(io.TeeReader(stderr, &got.said))
	if err := got.Cmd.Start(); err != nil {
		c.Fatal(err)
	}
	return got
}

// code is the one in the address that it tells its user to visit.
func (c *credential) code() string {
	c.Helper()
	line, err := c.lines.ReadString('\n')
	code := regexp.MustCompile(`/device\?code=(\S+)\n`).FindStringSubmatch(line)
	if code == nil {
		c.Fatalf("kubelogin says %q, %v", line, err)
	}
	return code[1]
}

// ends waits for its end, and returns what it said and how it ended.
func (c *credential) ends() (string, error) {
	c.Helper()
	if _, err := io.Copy(io.Discard, c.lines); err != nil {
		c.Fatal(err)
	}
	err := c.Wait()
	return c.said.String(), err
}

// token is what kubectl gets from it.
func (c *credential) token() string {
	c.Helper()
	if said, err := c.ends(); err != nil {
		c.Fatalf("kubelogin ended with %v: %s", err, said)
	}
	var got struct {
		APIVersion string `json:"apiVersion"`
		Status     struct{ Token string }
	}
	if err := json.Unmarshal(c.stdout.Bytes(), &got); err != nil || got.APIVersion != "client.authentication.k8s.io/v1" {
		c.Fatalf("kubectl is told %s, %v", c.stdout.Bytes(), err)
	}
	return got.Status.Token
}

// user is whom an API server with the flags of the guide takes somebody for who brings a
// token, or why it lets nobody in.
func (c *cluster) user(token string) string {
	c.Helper()
	flags := map[string]string{}
	for _, m := range regexp.MustCompile(`--(oidc-[\w-]+)=(\S+)`).FindAllStringSubmatch(c.blocks["kube-apiserver"], -1) {
		flags[m[1]] = m[2]
	}
	cmd := exec.CommandContext(c.Context(), "go", "-C", "goclients", "run", ".", "api-server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "COUNTERSIGN_SERVER="+flags["oidc-issuer-url"], "CLIENT_ID="+flags["oidc-client-id"],
		"USERNAME_CLAIM="+flags["oidc-username-claim"], "ID_TOKEN="+token)
	var name string
	if err := readEvents(cmd, func(s step) {
		name = fmt.Sprint(flags["oidc-username-prefix"], s.IDTokenClaims[flags["oidc-username-claim"]])
	}); err != nil {
		c.Fatal(err)
	}
	return name
}

func TestPageL01_KubectlIsLetInByFollowingTheGuide(t *testing.T) {
	t.Parallel()
	c := clusterOf(t)
	c.signsInWithACode()
	c.signsInInABrowser()
}

// signsInWithACode signs an identity of this machine in, which approves by its signature.
func (c *cluster) signsInWithACode() {
	device := c.blocks["device"]
	c.run("countersign identity create satoshi")
	var satoshi struct {
		BAPID string `json:"bap_id"`
	}
	if err := json.Unmarshal([]byte(c.run("countersign identity list --json")), &satoshi); err != nil {
		c.Fatal(err)
	}
	name := "countersign:" + satoshi.BAPID
	asks := c.credential(device)
	c.run("countersign approve " + asks.code() + " --yes --expect-client kubernetes --expect-scope 'openid profile offline_access'")
	first := asks.token()
	if got := c.user(first); got != name {
		c.Errorf("the API server knows %s as %s", name, got)
	}

	// kubectl runs it again for each command, and gets what it keeps, or refreshes.
	if c.credential(device).token() != first {
		c.Error("a second command gets another token")
	}
	fresh := c.credential(device, "--force-refresh").token()
	if fresh == first || c.user(fresh) != name {
		c.Errorf("refreshed, the token is the same, or of %s", c.user(fresh))
	}
	c.run(`countersign grants revoke "$(countersign grants list --json | sed -nE 's/.*"id":"([^"]*)".*/\1/p')"`)
	again := c.credential(device, "--force-refresh")
	c.run("countersign deny " + again.code())
	if said, err := again.ends(); err == nil || !strings.Contains(said, "access_denied") {
		c.Errorf("denied, kubelogin ends with %v: %s", err, said)
	}
}

func (c *cluster) signsInInABrowser() {
	tab := browser.NewTab(c.T)
	port := freePort(c.T) // another than the registered one
	asks := c.credential(c.exec(), "--listen-address=127.0.0.1:"+port, "--token-cache-dir="+c.TempDir())
	address, err := os.ReadFile(c.opened)
	if err != nil {
		c.Fatal(err)
	}
	tab.AllowOrigin(c.issuer)
	tab.Tolerate("http://localhost:" + port + "/favicon.ico") // of a program that has ended
	tab.Open(strings.TrimSpace(string(address)))
	tab.WaitFor("#ways[data-ready]")
	create(tab, "Alice")
	tab.WaitFor("#decision")
	if got := tab.Text("main"); !strings.Contains(got, "Kubernetes") || !strings.Contains(got, "localhost:"+port) {
		c.Errorf("the review says\n%s", got)
	}
	tab.Click(approveButton)
	tab.WaitUntil(`document.body.innerText.includes("Authenticated")`)
	token := asks.token()
	said := claimsOf(c.T, token)
	if got := c.user(token); said.ACR != bySignature || got != "countersign:"+said.BAPID {
		c.Errorf("the API server knows %+v as %s", said, got)
	}
}
