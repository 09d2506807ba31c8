//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// runNode runs a script of clients/, which tells its events itself.
func runNode(script string) func(context.Context, *testing.T, string, func(event)) error {
	return func(ctx context.Context, _ *testing.T, issuer string, tell func(event)) error {
		cmd := exec.CommandContext(ctx, "node", script)
		cmd.Dir = "clients"
		cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+issuer)
		return readEvents(cmd, tell)
	}
}

// readEvents runs a command that prints one JSON object a line.
func readEvents[T any](cmd *exec.Cmd, tell func(T)) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var e T
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintf(&said, "%s\n", lines.Bytes())
			continue
		}
		tell(e)
	}
	if err := cmd.Wait(); err != nil {
		return &errEnded{said: said.String(), err: err}
	}
	return nil
}

// readmeCode is how the README's clients show their code.
var readmeCode = regexp.MustCompile(`enter ([BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4})`)

// runReadme runs a client exactly as README.md prints it.
func runReadme(language string) func(context.Context, *testing.T, string, func(event)) error {
	return func(ctx context.Context, t *testing.T, issuer string, tell func(event)) error {
		cmd, err := readmeCommand(ctx, language, t.TempDir())
		if err != nil {
			return err
		}
		cmd.Env = append(os.Environ(), "COUNTERSIGN_SERVER="+issuer)
		var said bytes.Buffer
		cmd.Stderr = &said
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		first := bufio.NewReader(stdout)
		line, err := first.ReadString('\n')
		if err != nil {
			ended := cmd.Wait() // what it said is whole then
			return &errEnded{said: said.String(), err: ended}
		}
		code := readmeCode.FindStringSubmatch(line)
		if code == nil {
			return fmt.Errorf("%w: %s", errNoCode, line)
		}
		tell(event{Event: "code", UserCode: code[1]})
		rest, err := io.ReadAll(first)
		if err != nil {
			return err
		}
		if err := cmd.Wait(); err != nil {
			return &errEnded{said: said.String(), err: err}
		}
		e := event{Event: "userinfo"}
		if err := json.Unmarshal(rest, &e.Claims); err != nil {
			return fmt.Errorf("userinfo: %w: %s", err, rest)
		}
		tell(e)
		return nil
	}
}

// readmeCommand writes a client of README.md to a file and says how to run it.
func readmeCommand(ctx context.Context, language, dir string) (*exec.Cmd, error) {
	code, err := readmeBlock("../README.md", language)
	if err != nil {
		return nil, err
	}
	var file string
	var command []string
	switch language {
	case "javascript":
		file = filepath.Join(dir, "client.mjs")
		command = []string{"node", file}
	case "go":
		// Compiled from here, so that its imports are this module's.
		file = filepath.Join(dir, "main.go")
		command = []string{"go", "run", file}
	case "curl":
		file = filepath.Join(dir, "client.sh")
		command = []string{"bash", file}
	default:
		return nil, fmt.Errorf("no way to run %s", language)
	}
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, command[0], command[1:]...), nil
}

// readmeBlock returns the code block that follows <!-- client: LANGUAGE -->.
func readmeBlock(path, language string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	_, after, found := strings.Cut(string(text), "<!-- client: "+language+" -->\n```")
	if !found {
		return "", fmt.Errorf("%s has no client in %s", path, language)
	}
	_, after, _ = strings.Cut(after, "\n")
	code, _, found := strings.Cut(after, "\n```\n")
	if !found {
		return "", fmt.Errorf("%s: the client in %s does not end", path, language)
	}
	return code + "\n", nil
}

// runOAuth2 is golang.org/x/oauth2 as its documentation uses it.
func runOAuth2(ctx context.Context, _ *testing.T, issuer string, tell func(event)) error {
	config := &oauth2.Config{
		ClientID: "my-app",
		Scopes:   []string{"openid", "profile"},
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: issuer + "/api/auth/device/code",
			TokenURL:      issuer + "/api/auth/oauth2/token",
		},
	}
	code, err := config.DeviceAuth(ctx)
	if err != nil {
		return err
	}
	tell(event{Event: "code", UserCode: code.UserCode})
	token, err := config.DeviceAccessToken(ctx, code)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/api/auth/oauth2/userinfo", nil)
	if err != nil {
		return err
	}
	resp, err := config.Client(ctx, token).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	e := event{Event: "userinfo"}
	if err := json.NewDecoder(resp.Body).Decode(&e.Claims); err != nil {
		return err
	}
	tell(e)
	return nil
}
