//go:build e2e

package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// chromium is the one browser of a test run.
type chromium struct {
	// ctx is of its first, empty tab. The tabs of the tests derive from it.
	ctx       context.Context
	end       context.CancelFunc
	userAgent string
	front     *front
	profile   string // a directory of its own
}

var (
	once    sync.Once
	running *chromium
	failure error // why there is none
)

// theChromium returns the browser, started at the first call.
func theChromium(t testing.TB) *chromium {
	t.Helper()
	once.Do(func() { running, failure = launch() })
	if failure != nil {
		t.Fatal(failure)
	}
	return running
}

// Stop ends the browser, if it was started. TestMain calls it when the tests are
// over.
func Stop() {
	once.Do(func() { failure = errors.New("the tests are over") })
	if running == nil {
		return
	}
	ctx, cancel := context.WithTimeout(running.ctx, 10*time.Second)
	defer cancel()
	_ = chromedp.Cancel(ctx) // what does not end by itself is killed by the next line
	running.end()
	running.front.close()
	_ = os.RemoveAll(running.profile) // a file that stays harms nobody
}

func launch() (*chromium, error) {
	binary, err := find()
	if err != nil {
		return nil, err
	}
	profile, fonts, err := newProfile()
	if err != nil {
		return nil, err
	}
	front, err := newFront()
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary),
		chromedp.UserDataDir(profile),
		chromedp.Env("FONTCONFIG_FILE="+fonts),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-pings", true),
		// Nothing leaves this machine, and the front's certificate, made for this
		// run, is the only one that is taken without a known issuer.
		chromedp.Flag("host-resolver-rules", front.resolverRules()),
		chromedp.Flag("ignore-certificate-errors-spki-list", front.keyHash),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with it
	}
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	end := func() {
		cancel()
		release()
	}
	if err := chromedp.Do(ctx); err != nil {
		end()
		front.close()
		return nil, fmt.Errorf("%s does not start: %w", binary, err)
	}
	version, err := cdp.Call(ctx, chromedp.FromContext(ctx).Browser, cdpbrowser.GetVersion, cdp.Empty{})
	if err != nil {
		end()
		front.close()
		return nil, fmt.Errorf("asking %s for its version: %w", binary, err)
	}
	return &chromium{ctx: ctx, end: end, userAgent: version.UserAgent, front: front, profile: profile}, nil
}

// NoCookies is the name of a site from which the browser takes no cookies, and for
// which it keeps nothing, as people can set it up.
const NoCookies = "no-cookies"

// newProfile makes the browser's directory, with what is set up in it, and returns
// the file of its fonts too.
func newProfile() (dir, fonts string, err error) {
	if dir, err = os.MkdirTemp("", "countersign-chromium"); err != nil {
		return "", "", err
	}
	if fonts, err = writeFontConfig(dir); err != nil {
		return "", "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "Default"), 0o700); err != nil {
		return "", "", err
	}
	const block = `{"profile": {"content_settings": {"exceptions": {"cookies": {"https://` + NoCookies + `.example.org,*": {"setting": 2}}}}}}`
	return dir, fonts, os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(block), 0o600)
}

// find returns the path of the browser: $CHROMIUM, or what is installed.
func find() (string, error) {
	if named := os.Getenv("CHROMIUM"); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("CHROMIUM names %s, which cannot be run: %w", named, err)
		}
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium on this machine: run tools/setup, which installs it, or name one with CHROMIUM=/path/to/chromium")
}
