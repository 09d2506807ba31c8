package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/mdp/qrterminal/v3"
	"golang.org/x/oauth2"
	"golang.org/x/term"

	"countersign.dev/deviceflow"
)

// The rules of the terminal: results go to stdout, everything else to stderr. A
// cursor is moved and a key is read only when stdin and stderr are both a
// terminal, one that can move it, and while the shell has this command in the
// foreground; otherwise each event is one line. With --json nothing but events is
// printed.

// loginScreen shows a code and follows a wait.
type loginScreen struct {
	env     *Env
	config  *deviceflow.Config
	request *deviceflow.Authorization
	options loginOptions
	tty     *os.File       // where a person sits, if it can be redrawn; else nil
	silent  atomic.Bool    // the last poll got no answer
	opening sync.WaitGroup // browsers
	notices chan string    // for who keeps the last line
	writing sync.Mutex     // guards Stderr where nobody does
}

func newLoginScreen(env *Env, config *deviceflow.Config, request *deviceflow.Authorization, o loginOptions) *loginScreen {
	s := &loginScreen{env: env, config: config, request: request, options: o, notices: make(chan string)}
	if env.StdinTerminal && env.movesCursor() && !o.asJSON {
		s.tty, _ = env.Stdin.(*os.File) // always, but for tests
	}
	return s
}

// wait shows the code and waits for the token.
func (s *loginScreen) wait(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer s.opening.Wait()
	defer cancel()
	s.config.Progress = s.progress
	s.show()
	if s.tty != nil {
		var sitting sync.WaitGroup
		sitting.Go(func() { s.interact(ctx, cancel) })
		defer func() {
			cancel()
			sitting.Wait()
		}()
	}
	if s.options.browser {
		s.openBrowser(ctx)
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
	env := s.env
	width, height := size(env.Stderr, env.StderrTerminal)
	userCode, number := printable(r.UserCode), printable(r.MatchNumber)
	lines := []string{"", "  First, compare this code:   " + s.bold(userCode)}
	if beside := lines[1] + "     number to match: " + s.bold(number); number != "" && atMost(plain.Replace(beside)) < width {
		lines[1] = beside
	} else if number != "" {
		lines = append(lines, "  and the number to match:    "+s.bold(number))
	}
	address := printable(s.address())
	lines = append(append(lines, ""), labelled(width, "  Open    ", address, "")...)
	if aCode.MatchString(r.UserCode) {
		lines = append(lines, labelled(width, "  or run  ", "countersign approve "+r.UserCode, serverHint(s.config.Endpoint.Issuer))...)
	}
	if s.tty != nil && !loopback(address) {
		lines = append(lines, qrCode(address, width, height-rows(lines, width)-len("\n\n"))...) // what stands below it
	}
	fmt.Fprintln(env.Stderr, strings.Join(lines, "\n")+"\n")
	if s.tty == nil || !inForeground(s.tty) {
		fmt.Fprintf(env.Stderr, "Waiting for your approval until %s.\n", r.Expires.Local().Format("15:04:05"))
	}
}

var plain = strings.NewReplacer(boldOn, "", boldOff, "")

const boldOn, boldOff = "\x1b[1m", "\x1b[0m"

// labelled is what people copy beside its label or, where there is no room, below it, from
// the first column on; what more a command has goes on a line of its own if it must.
func labelled(width int, label, text, more string) []string {
	switch {
	case atMost(label+text+more) < width:
		return []string{label + text + more}
	case more == "" || atMost(text+more) < width:
		return []string{strings.TrimRight(label, " "), text + more}
	default:
		return []string{strings.TrimRight(label, " "), text + " \\", " " + more}
	}
}

// rows is how many rows of a terminal lines take.
func rows(lines []string, width int) (n int) {
	for _, line := range lines {
		n += max(0, atMost(plain.Replace(line))-1)/width + 1
	}
	return n
}

// qrCode is the lines of a QR code, none where they do not fit: what is above them, the
// code among it, must stay on the screen.
func qrCode(text string, width, height int) []string {
	const quiet = 2 // around it, in its own squares; readers bear less than the four of the standard
	var drawn bytes.Buffer
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level: qrterminal.L, Writer: &drawn, HalfBlocks: true, QuietZone: quiet,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE, BlackWhiteChar: qrterminal.BLACK_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	lines := strings.Split(strings.TrimSuffix(drawn.String(), "\n"), "\n")
	if len(lines) > height || utf8.RuneCountInString(lines[0]) >= width {
		return nil
	}
	return lines
}

// serverHint is what names a server in a command, wherever that is run; an empty one is
// none.
func serverHint(issuer string) string {
	if issuer == defaultServer || issuer == "" {
		return ""
	}
	return " --server " + shellWord(issuer)
}

func (s *loginScreen) bold(text string) string {
	if s.tty == nil || s.options.noColor || s.env.Getenv("NO_COLOR") != "" {
		return text
	}
	return boldOn + text + boldOff
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
	case failed && s.tty == nil:
		s.line(fmt.Sprintf("The server cannot be reached (%s); trying again in %s.", printable(p.Err.Error()), p.Next.Round(time.Second)))
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

// interact shows the time left and reads single keys until ctx ends, whenever the terminal is
// this command's: in the background it does neither. Enter opens the browser; q and
// Ctrl-C give up.
func (s *loginScreen) interact(ctx context.Context, cancel context.CancelFunc) {
	defer failBackgroundReads()() // one that was begun in the foreground may end in the background
	continued, end := continued()
	defer end()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	keys := make(chan byte)
	raw := s.enterRawMode(ctx, keys)
	defer func() { raw.leave() }()
	for frame := 0; ; {
		if raw != nil {
			s.drawTimeLeft(frame)
		}
		select {
		case <-tick.C:
			frame++
			if raw != nil && (raw.over() || !inForeground(s.tty)) {
				raw.leave()
				raw = nil
			}
			if raw == nil {
				raw = s.enterRawMode(ctx, keys)
			}
		case key := <-keys:
			raw = s.press(ctx, key, cancel, raw)
		case notice := <-s.notices:
			if raw != nil {
				notice = "\r\x1b[K  " + notice + "\r"
			}
			fmt.Fprintln(s.env.Stderr, notice)
		case <-continued: // the shell had the terminal, and left it in its own way
			raw.leave()
			raw = s.enterRawMode(ctx, keys)
		case <-ctx.Done():
			return
		}
	}
}

func (s *loginScreen) press(ctx context.Context, key byte, cancel context.CancelFunc, raw *rawMode) *rawMode {
	const ctrlC, ctrlZ = 3, 26
	switch key {
	case 'q', 'Q', ctrlC:
		cancel()
	case ctrlZ:
		raw.leave()
		stopJob()
		return nil
	case '\r', '\n':
		if s.noBrowser() == "" {
			s.openBrowser(ctx)
		}
	}
	return raw
}

// rawMode is a terminal that gives single keys. It is nil where nobody has it.
type rawMode struct {
	screen  *loginScreen
	before  *term.State
	end     context.CancelFunc
	reading chan struct{} // closed when nobody reads keys any longer
}

// enterRawMode takes the terminal, if it is this command's, and has its keys sent.
func (s *loginScreen) enterRawMode(ctx context.Context, keys chan<- byte) *rawMode {
	if !inForeground(s.tty) {
		return nil
	}
	before, err := term.MakeRaw(int(s.tty.Fd()))
	if err != nil {
		return nil
	}
	ctx, end := context.WithCancel(ctx)
	m := &rawMode{s, before, end, make(chan struct{})}
	go func() {
		defer close(m.reading)
		for {
			key, err := s.env.input().key(ctx)
			if err != nil {
				return
			}
			select {
			case keys <- key:
			case <-ctx.Done():
			}
		}
	}()
	return m
}

// over reports whether no key comes any longer.
func (m *rawMode) over() bool {
	select {
	case <-m.reading:
		return true
	default:
		return false
	}
}

// leave puts the terminal back, unless it is another's already.
func (m *rawMode) leave() {
	if m == nil {
		return
	}
	m.end()
	<-m.reading
	if inForeground(m.screen.tty) {
		fmt.Fprint(m.screen.env.Stderr, "\r\x1b[K")
		_ = term.Restore(int(m.screen.tty.Fd()), m.before) // nothing more can be done about a terminal
	}
}

// drawTimeLeft draws the last line anew, in as many words as there is room for.
func (s *loginScreen) drawTimeLeft(frame int) {
	left := max(0, time.Until(s.request.Expires).Round(time.Second))
	what, inShort := "Waiting for your approval…", "Waiting…"
	if s.silent.Load() {
		what, inShort = "No answer; trying again…", "No answer…"
	}
	quit := "   (q to cancel)"
	help, briefly := quit, quit
	if s.noBrowser() == "" {
		help, briefly = "   (Enter opens the browser, q cancels)", "   (Enter: browser, q: cancel)"
	}
	turning := []string{"◐", "◓", "◑", "◒"}[frame%4]
	clock := fmt.Sprintf("%02d:%02d left", int(left.Minutes()), int(left.Seconds())%60)
	long, short := fmt.Sprintf("  %s %s %s", turning, what, clock), fmt.Sprintf("  %s %s %s", turning, inShort, clock)
	width, _ := size(s.env.Stderr, true)
	fmt.Fprint(s.env.Stderr, "\r\x1b[K", fitting(width, long+help, long+briefly, short+briefly, short+quit, short, clock, clock[:len("00:00")]))
}

// say tells a person something in a line.
func (s *loginScreen) say(ctx context.Context, text string) {
	switch {
	case s.options.asJSON:
	case s.tty != nil:
		select {
		case s.notices <- text:
		case <-ctx.Done():
		}
	default:
		s.line(text)
	}
}

// line prints a line where nobody keeps the last one.
func (s *loginScreen) line(text string) {
	s.writing.Lock()
	defer s.writing.Unlock()
	fmt.Fprintln(s.env.Stderr, text)
}
