//go:build e2e

package browser

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Before has every document of the tab run a script before its own. It comes
// from outside of the page, as what an extension puts there does, so that the
// page's policy says nothing about it; the policy stays as it is for the rest.
func (p *Tab) Before(script string) {
	p.t.Helper()
	do(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// Choose puts a file into a field for files, as a person does who picks it.
func (p *Tab) Choose(selector, path string) {
	p.t.Helper()
	p.WaitFor(selector)
	p.steps++
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	field, err := chromedp.Run(ctx, chromedp.Evaluate[*runtime.RemoteObject](firstShown(selector)))
	if err != nil {
		p.t.Fatalf("%s: %v", selector, err)
	}
	do(p, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{path}, ObjectID: field.ObjectID})
}

// Agree does something that makes the page ask (confirm), answers the question
// with yes or no and returns it. A question at any other time fails the test.
func (p *Tab) Agree(yes bool, action func()) string {
	p.t.Helper()
	p.watch.mu.Lock()
	p.watch.answer, p.watch.asking = yes, make(chan string, 1)
	asking := p.watch.asking
	p.watch.mu.Unlock()
	action()
	var question string
	p.await("a question", func(context.Context) bool {
		select {
		case question = <-asking:
			return true
		default:
			return false
		}
	})
	return question
}

// Downloaded does something that makes the browser save a file, and returns the
// file's name and what is in it.
func (p *Tab) Downloaded(action func()) (name, content string) {
	p.t.Helper()
	before := map[string]bool{}
	for _, file := range p.files() {
		before[file] = true
	}
	action()
	p.await("a file", func(context.Context) bool {
		for _, file := range p.files() {
			if !before[file] {
				name = file
			}
		}
		return name != ""
	})
	all, err := os.ReadFile(filepath.Join(p.downloads, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return name, string(all)
}

// files lists what has been saved to its end. An empty file only keeps the name
// for what is on its way.
func (p *Tab) files() (names []string) {
	entries, err := os.ReadDir(p.downloads)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Size() > 0 && !strings.HasSuffix(e.Name(), ".crdownload") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// keepDownloads says where the files go that this person saves.
func (p *Tab) keepDownloads(dir string) {
	p.t.Helper()
	p.downloads = dir
	c := chromedp.FromContext(p.ctx)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := cdp.Call(ctx, c.Browser, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: c.BrowserContextID, DownloadPath: dir,
	}); err != nil {
		p.t.Fatal("downloads:", err)
	}
}

// Steps counts what the person did so far: each thing that was clicked, each
// field that was filled in, each file that was chosen.
func (p *Tab) Steps() int { return p.steps }
