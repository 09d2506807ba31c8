package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cli/browser"
	"github.com/mdp/qrterminal/v3"
	"golang.org/x/oauth2"
	"golang.org/x/term"

	"countersign.dev/deviceflow"
)

// The rules of the terminal: results go to stdout, everything else to stderr. A
// cursor is moved and a key is read only when stdin and stderr are both a
// terminal; otherwise each event is one line. With --json nothing but events is
// printed.

// loginScreen shows a code and follows a wait.
type loginScreen struct {
	env     *Env
	config  *deviceflow.Config
	request *deviceflow.Authorization
	options loginOptions
	live    bool        // a person sits there
	silent  atomic.Bool // the last poll got no answer
}

func newLoginScreen(env *Env, config *deviceflow.Config, request *deviceflow.Authorization, o loginOptions) *loginScreen {
	return &loginScreen{env: env, config: config, request: request, options: o, live: env.StdinTerminal && env.StderrTerminal && !o.asJSON}
}

// wait shows the code and waits for the token.
func (s *loginScreen) wait(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.config.Progress = s.progress
	s.show()
	if s.options.browser {
		s.openBrowser()
	}
	if s.live {
		defer s.keys(ctx, cancel)()
	}
	return s.config.Wait(ctx, s.request)
}

// show says what to do.
func (s *loginScreen) show() {
	r := s.request
	if s.options.asJSON {
		event := map[string]any{
			"event": "code", "user_code": r.UserCode, "verification_uri": r.VerificationURI,
			"verification_uri_complete": r.VerificationURIComplete, "expires_at": r.Expires.Unix(),
		}
		if r.MatchNumber != "" {
			event["match_number"] = r.MatchNumber
		}
		writeEvent(s.env.Stdout, event)
		return
	}
	match := ""
	if r.MatchNumber != "" {
		match = "     number to match: " + s.bold(printable(r.MatchNumber))
	}
	address := printable(firstText(r.VerificationURIComplete, r.VerificationURI))
	userCode := printable(r.UserCode)
	fmt.Fprintf(s.env.Stderr, "\n  First, compare this code:   %s%s\n\n  Open    %s\n", s.bold(userCode), match, address)
	if aCode.MatchString(r.UserCode) {
		fmt.Fprintf(s.env.Stderr, "  or run  countersign approve %s%s\n", r.UserCode, serverHint(s.config.Endpoint.Issuer))
	}
	if s.live && s.wide() && !loopback(address) {
		qrterminal.GenerateHalfBlock(address, qrterminal.L, s.env.Stderr)
	}
	fmt.Fprintln(s.env.Stderr)
	if !s.live {
		fmt.Fprintf(s.env.Stderr, "Waiting for your approval until %s.\n", r.Expires.Local().Format("15:04:05"))
	}
}

func serverHint(issuer string) string {
	if issuer == defaultServer {
		return ""
	}
	return " --server " + shellWord(issuer)
}

func (s *loginScreen) bold(text string) string {
	if !s.live || s.env.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// wide reports whether a QR code fits.
func (s *loginScreen) wide() bool {
	const enough = 60
	f, ok := s.env.Stderr.(*os.File)
	if !ok {
		return false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return err == nil && width >= enough
}

// progress hears of each poll.
func (s *loginScreen) progress(p deviceflow.Poll) {
	var transport *deviceflow.TransportError
	failed := errors.As(p.Err, &transport)
	s.silent.Store(failed)
	switch {
	case s.options.asJSON && failed:
		writeEvent(s.env.Stdout, map[string]any{"event": "retry", "error_description": printable(p.Err.Error()), "next_in": p.Next.Seconds()})
	case s.options.asJSON:
		writeEvent(s.env.Stdout, map[string]any{"event": "pending", "next_in": p.Next.Seconds()})
	case failed && !s.live:
		fmt.Fprintf(s.env.Stderr, "The server cannot be reached (%s); trying again in %s.\n", printable(p.Err.Error()), p.Next.Round(time.Second))
	}
}

// ended says how a wait ended that brought no token, for programs.
func (s *loginScreen) ended(err error) {
	if !s.options.asJSON {
		return
	}
	switch {
	case errors.Is(err, deviceflow.ErrDenied):
		writeEvent(s.env.Stdout, map[string]any{"event": "denied"})
	case errors.Is(err, deviceflow.ErrExpired):
		writeEvent(s.env.Stdout, map[string]any{"event": "expired"})
	}
}

// keys shows the time left and reads single keys: Enter opens the browser, q and
// Ctrl-C give up. The function returned puts the terminal back.
func (s *loginScreen) keys(ctx context.Context, cancel context.CancelFunc) (restore func()) {
	stdin, ok := s.env.Stdin.(*os.File)
	if !ok {
		return func() {}
	}
	state, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return func() {}
	}
	help := "(q to cancel)"
	if s.mayOpenBrowser() {
		help = "(Enter opens the browser, q cancels)"
	}
	var both sync.WaitGroup
	both.Go(func() { s.countDown(ctx, help) })
	both.Go(func() { s.readKeys(ctx, cancel) })
	return func() {
		cancel()
		both.Wait()
		fmt.Fprint(s.env.Stderr, "\r\x1b[K")
		_ = term.Restore(int(stdin.Fd()), state) // nothing more can be done about a terminal
	}
}

// countDown redraws the last line each second until ctx ends.
func (s *loginScreen) countDown(ctx context.Context, help string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for frame := 0; ; frame++ {
		left := time.Until(s.request.Expires).Round(time.Second)
		what := "Waiting for your approval…"
		if s.silent.Load() {
			what = "No answer; trying again…" // no longer than the other, or it would wrap sooner
		}
		fmt.Fprintf(s.env.Stderr, "\r\x1b[K  %s %s %02d:%02d left   %s",
			[]string{"◐", "◓", "◑", "◒"}[frame%4], what, int(left.Minutes()), int(left.Seconds())%60, help)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *loginScreen) readKeys(ctx context.Context, cancel context.CancelFunc) {
	const ctrlC = 3
	for {
		key, err := s.env.input().key(ctx)
		if err != nil {
			return
		}
		switch key {
		case 'q', 'Q', ctrlC:
			cancel()
			return
		case '\r', '\n':
			s.openBrowser()
		}
	}
}

// mayOpenBrowser: never over SSH, in CI, without a display, or when told not to.
func (s *loginScreen) mayOpenBrowser() bool {
	get := s.env.Getenv
	if s.options.noBrowser || get("SSH_CONNECTION") != "" || get("SSH_TTY") != "" || get("CI") != "" {
		return false
	}
	return runtime.GOOS != "linux" || get("DISPLAY") != "" || get("WAYLAND_DISPLAY") != "" || get("BROWSER") != ""
}

// openBrowser opens the verification page, if it is on the issuer's own origin
// and an address a browser may be given (attack B-30).
func (s *loginScreen) openBrowser() {
	address := firstText(s.request.VerificationURIComplete, s.request.VerificationURI)
	if !s.mayOpenBrowser() || !sameOrigin(address, s.config.Endpoint.Issuer) {
		return
	}
	if u, err := url.Parse(address); err != nil || (u.Scheme != "https" && !loopback(address)) {
		return
	}
	_ = browser.OpenURL(address) // the address is on the screen all the same
}

func sameOrigin(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.Scheme == y.Scheme && x.Host == y.Host
}
