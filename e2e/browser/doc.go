// Package browser drives a real Chromium for the tests of what people see.
//
// NewTab gives a test a person with an empty browser: cookies and storage of
// their own, one tab. Tab.Another is a second tab of the same person. What a
// test does there is done with real key and mouse events, and every wait ends
// as soon as its condition holds:
//
//	tab := browser.NewTab(t)
//	tab.Open(server.URL + "/device")
//	tab.Type("input[name=code]", "WDJB-MJHT")
//	tab.Press("Enter")
//	tab.WaitFor("button[value=deny]")
//	tab.Axe()
//	tab.Screenshot("review")
//
// A tab watches its page until the test ends, and the test fails if the page
// threw, logged an error, broke its content security policy, opened a dialog or
// a window, or asked another origin for anything (watch.go). Tolerate,
// AllowOrigin and Agree make exceptions. What a page gets from outside itself
// (files, scripts of wallets, questions, downloads) is in extras.go. Its letters are
// those of the suite's own fonts (fonts.go).
//
// One Chromium serves all tests of a test binary (chromium.go); TestMain ends it
// with Stop. Tests that use it have names that begin with TestPage, which is how
// `make test-browser` finds them. Nothing here knows Countersign; the tests of
// its pages are in the package above.
package browser
