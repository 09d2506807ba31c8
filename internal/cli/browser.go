package cli

import (
	"cmp"
	"context"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// openBrowser shows the verification page in a browser, beside the wait: whatever an
// opener does, it has neither the terminal nor our output, and nothing waits for it. A
// browser that stays is left alone when ctx ends. Where there is none, that is said.
func (s *loginScreen) openBrowser(ctx context.Context) {
	if why := s.noBrowser(); why != "" {
		s.say(ctx, "No browser is opened: "+why+".")
		return
	}
	s.opening.Go(func() {
		for _, words := range openers(s.env.Getenv("BROWSER"), s.address()) {
			if opened(ctx, words) || ctx.Err() != nil {
				return
			}
		}
		s.say(ctx, "No browser could be opened: open the address yourself.")
	})
}

// openerTime is how long an opener may take to fail. What ends later is the browser
// itself: however it ends, nobody wants another one then.
const openerTime = 5 * time.Second

// opened starts a program, and reports whether it ended well or runs on.
func opened(ctx context.Context, words []string) bool {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), words[0], words[1:]...) //nolint:gosec // whose command it is, whose machine it is
	detach(cmd)
	if cmd.Start() != nil {
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // lasts as long as the browser, which is not ours to end
	select {
	case err := <-ended:
		return err == nil
	case <-time.After(openerTime):
		return true
	case <-ctx.Done():
		return true
	}
}

// openers are the commands that may open an address, those first that BROWSER names.
func openers(wanted, address string) (all [][]string) {
	for _, command := range filepath.SplitList(wanted) {
		if words := openerWords(command, address); len(words) > 0 {
			all = append(all, words)
		}
	}
	system := [][]string{{"xdg-open"}, {"x-www-browser"}, {"www-browser"}, {"wslview"}}
	switch runtime.GOOS {
	case "darwin":
		system = [][]string{{"open"}}
	case "windows":
		system = [][]string{{"rundll32", "url.dll,FileProtocolHandler"}}
	}
	for _, words := range system {
		all = append(all, append(words, address))
	}
	return all
}

// openerWords is one command of BROWSER: %s stands for the address, which is the last
// word without it. No shell reads either.
func openerWords(command, address string) []string {
	words := strings.Fields(command)
	if _, err := exec.LookPath(command); err == nil { // a path with blanks in it
		words = []string{command}
	}
	if !strings.Contains(command, "%s") {
		words = append(words, "%s")
	}
	if len(words) == 1 { // no command, only where the address goes
		return nil
	}
	for i, word := range words {
		words[i] = strings.NewReplacer("%%", "%", "%s", address).Replace(word)
	}
	return words
}

// noBrowser says why none is opened: over SSH, in CI, without a display, when told not
// to, or for an address that is not the issuer's own or no browser should be given
// (attack B-30).
func (s *loginScreen) noBrowser() string {
	get := s.env.Getenv
	u, err := url.Parse(s.address())
	switch {
	case s.options.noBrowser:
		return "--no-browser says so"
	case get("SSH_CONNECTION") != "" || get("SSH_TTY") != "":
		return "it would be on the machine that you came to by SSH"
	case get("CI") != "":
		return "CI is set"
	case runtime.GOOS == "linux" && get("DISPLAY") == "" && get("WAYLAND_DISPLAY") == "" && get("BROWSER") == "":
		return "there is no display"
	case err != nil || !sameOrigin(s.address(), s.config.Endpoint.Issuer) || (u.Scheme != "https" && !loopback(s.address())):
		return "the address is not the server's own"
	}
	return ""
}

func (s *loginScreen) address() string {
	return cmp.Or(s.request.VerificationURIComplete, s.request.VerificationURI)
}

func sameOrigin(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.Host == y.Host
}
