//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// TestPageB21_AMonitoredPageOfAnotherOriginRunsTheDeviceFlow asks from a page whose
// monitoring adds headers to all that it sends.
func TestPageB21_AMonitoredPageOfAnotherOriginRunsTheDeviceFlow(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>Elsewhere</title><link rel="icon" href="data:,"><main>A page`)
	}))
	t.Cleanup(elsewhere.Close)
	tab := h.guest(t)
	tab.AllowOrigin(h.base)
	tab.Open(elsewhere.URL)
	const send = `(path, headers, body) => fetch("%s" + path, {
		method: "POST", body: JSON.stringify(body),
		headers: {"Content-Type": "application/json", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ...headers},
	}).then((answer) => answer.json())`
	ask := fmt.Sprintf(send, h.base)
	got := browser.Eval[map[string]any](tab, `(`+ask+`)("/api/auth/device/code", {"sentry-trace": "1-2-1", baggage: "a=b", "X-Request-ID": "7"}, {client_id: "a-page"})`)
	code, _ := got["device_code"].(string)
	if code == "" {
		t.Fatalf("the page hears %v", got)
	}
	tab.Tolerate("status of 400") // it is pending
	poll := `{grant_type: "urn:ietf:params:oauth:grant-type:device_code", client_id: "a-page", device_code: "` + code + `"}`
	if got := browser.Eval[map[string]any](tab, `(`+ask+`)("/api/auth/device/token", {"x-datadog-trace-id": "1"}, `+poll+`)`); got["error"] != "authorization_pending" {
		t.Errorf("the poll hears %v", got)
	}
	tab.Tolerate("X-Auth-Token")
	tab.Tolerate("x-auth-token")
	tab.Tolerate("net::ERR_FAILED")
	refused := browser.Eval[string](tab, `(`+ask+`)("/api/auth/device/token", {"X-Auth-Token": "x"}, `+poll+`).then(() => "sent", (error) => error.name)`)
	if !strings.Contains(refused, "TypeError") {
		t.Errorf("a credential is %s", refused)
	}
}
