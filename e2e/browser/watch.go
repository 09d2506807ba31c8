//go:build e2e

package browser

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/audits"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// Request is a request that a page made.
type Request struct {
	Method string
	URL    string
	Type   string // Document, Stylesheet, Script, Image, Fetch, ...
	Status int    // 0 without an answer
	// Bytes came over the wire: headers, and the body as it was encoded.
	Bytes int
}

// watch notes what a tab's page does. Its event method is called on the
// browser's own goroutine.
type watch struct {
	changed chan struct{} // holds one token when something has happened

	mu          sync.Mutex
	requests    []*Request                     // guarded by mu, as all below
	byID        map[network.RequestID]*Request // the last of each chain of redirects
	navigations int                            // documents that took the tab's place, and changes of its history
	status      int                            // of the last document
	problems    []string
	tolerated   []string
	origins     []string // that may be asked
	onDialog    func(yes bool)
	asking      chan string // where an expected question goes, or nil
	answer      bool        // and the answer to it
}

func newWatch() *watch {
	return &watch{changed: make(chan struct{}, 1), byID: map[network.RequestID]*Request{}}
}

func (w *watch) event(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.wake()
	switch e := event.(type) {
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			w.navigations++
		}
	case *page.EventNavigatedWithinDocument:
		w.navigations++
	case *page.EventWindowOpen:
		w.problem("opened a window: %s", e.URL)
	case *page.EventJavascriptDialogOpening:
		if w.asking == nil {
			w.problem("opened a dialog: %s %q", e.Type, e.Message)
		} else {
			w.asking <- e.Message
		}
		go w.onDialog(w.asking != nil && w.answer) // the page stands still until somebody answers
		w.asking = nil
	case *runtime.EventExceptionThrown:
		w.problem("threw: %s", exception(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			w.problem("console.%s: %s", e.Type, arguments(e.Args))
		}
	case *cdplog.EventEntryAdded:
		w.logged(e.Entry)
	case *audits.EventIssueAdded:
		if details := e.Issue.Details.ContentSecurityPolicyIssueDetails; details != nil {
			w.problem("broke its policy: %s: %s %s", details.ContentSecurityPolicyViolationType, details.ViolatedDirective, details.BlockedURL)
		}
	default:
		w.network(event)
	}
}

func (w *watch) network(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if last := w.byID[e.RequestID]; last != nil && e.RedirectResponse != nil {
			last.Status, last.Bytes = int(e.RedirectResponse.Status), int(e.RedirectResponse.EncodedDataLength)
		}
		r := &Request{Method: e.Request.Method, URL: e.Request.URL, Type: string(e.Type)}
		w.byID[e.RequestID] = r
		if isPage(e.Type) {
			w.status = 0
		}
		w.asked(r)
	case *network.EventWebSocketCreated:
		w.asked(&Request{URL: e.URL, Type: "WebSocket"})
	case *network.EventWebTransportCreated:
		w.asked(&Request{URL: e.URL, Type: "WebTransport"})
	case *network.EventResponseReceived:
		if r := w.byID[e.RequestID]; r != nil {
			r.Status = int(e.Response.Status)
			if isPage(e.Type) {
				w.status = r.Status
			}
		}
	case *network.EventLoadingFinished:
		if r := w.byID[e.RequestID]; r != nil {
			r.Bytes = int(e.EncodedDataLength)
		}
	}
}

// asked notes a request, and that it goes to somebody else.
func (w *watch) asked(r *Request) {
	u, err := url.Parse(r.URL)
	if err != nil || !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) {
		return // data:, blob:, about: ask nobody
	}
	w.requests = append(w.requests, r)
	if origin := originOf(r.URL); !slices.Contains(w.origins, origin) {
		w.problem("asked another origin: %s %s (%s)", r.Method, r.URL, r.Type)
	}
}

// isPage reports whether a request is one for a page: a document, or one that a
// script puts in place of the last. Ours asks for those with an XMLHttpRequest,
// and for everything else with fetch.
func isPage(kind network.ResourceType) bool {
	return kind == network.ResourceTypeDocument || kind == network.ResourceTypeXHR
}

// logged notes what the browser itself says of the page. That a page has an
// error's status is for the test to look at, and no fault of the page.
func (w *watch) logged(entry *cdplog.Entry) {
	r := w.byID[entry.NetworkRequestID]
	if entry.Source == cdplog.EntrySourceNetwork && r != nil && isPage(network.ResourceType(r.Type)) {
		return
	}
	if entry.Level == cdplog.EntryLevelError || entry.Source == cdplog.EntrySourceSecurity {
		w.problem("the browser says (%s): %s %s", entry.Source, entry.Text, entry.URL)
	}
}

func (w *watch) problem(format string, values ...any) {
	if text := fmt.Sprintf(format, values...); !slices.Contains(w.problems, text) { // once is enough to read
		w.problems = append(w.problems, text)
	}
}

func (w *watch) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// untolerated returns the problems that no exception was made for.
func (w *watch) untolerated() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.problems), func(problem string) bool {
		return slices.ContainsFunc(w.tolerated, func(text string) bool { return strings.Contains(problem, text) })
	})
}

// originOf is the origin of an address; a WebSocket's is that of its server.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host
}

func exception(details *runtime.ExceptionDetails) string {
	if details.Exception != nil && details.Exception.Description != "" {
		return details.Exception.Description
	}
	return details.Text
}

func arguments(objects []*runtime.RemoteObject) string {
	var texts []string
	for _, o := range objects {
		texts = append(texts, cmp.Or(o.Description, string(o.Value)))
	}
	return strings.Join(texts, " ")
}
