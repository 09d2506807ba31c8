//go:build e2e

package browser

import (
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
)

// Desktop gives the tab a window of 1280 by 900.
func (p *Tab) Desktop() {
	p.t.Helper()
	p.Viewport(1280, 900, 1, false)
}

// Phone makes the tab a small telephone's: 360 by 740, two dots a pixel.
func (p *Tab) Phone() {
	p.t.Helper()
	p.Viewport(360, 740, 2, true)
}

// Touch gives the tab fingers in place of a mouse.
func (p *Tab) Touch() {
	p.t.Helper()
	do(p, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true, MaxTouchPoints: 5})
}

// Viewport sets the size of what is to be seen in CSS pixels, the dots in each,
// and whether it is a telephone's.
func (p *Tab) Viewport(width, height int64, scale float64, mobile bool) {
	p.t.Helper()
	do(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: scale, Mobile: mobile,
	})
}

// Zoom enlarges the page as Ctrl and + do: a desktop window has room for fewer
// CSS pixels, each of them larger.
func (p *Tab) Zoom(percent int64) {
	p.t.Helper()
	p.Viewport(1280*100/percent, 900*100/percent, float64(percent)/100, false)
}

// Preference is what a person has set up for all pages.
type Preference string

// The preferences that tests ask for.
const (
	Dark          Preference = "prefers-color-scheme: dark"
	Light         Preference = "prefers-color-scheme: light"
	ReducedMotion Preference = "prefers-reduced-motion: reduce"
	ForcedColors  Preference = "forced-colors: active"
)

// Prefer sets the person's preferences; those of an earlier call are gone.
func (p *Tab) Prefer(preferences ...Preference) {
	p.t.Helper()
	var media emulation.SetEmulatedMediaParams
	for _, preference := range preferences {
		name, value, _ := strings.Cut(string(preference), ": ")
		media.Features = append(media.Features, &emulation.MediaFeature{Name: name, Value: value})
	}
	do(p, emulation.SetEmulatedMedia, media)
}

// Language makes the browser one of this language, like "ja" or "de-CH": what it
// asks servers for, and how it writes dates and numbers.
func (p *Tab) Language(tag string) {
	p.t.Helper()
	do(p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: p.c.userAgent, AcceptLanguage: tag})
	do(p, emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: strings.ReplaceAll(tag, "-", "_")})
}

// ScriptsOff turns the scripts of pages off.
func (p *Tab) ScriptsOff() {
	p.t.Helper()
	do(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	p.scriptsOff = true
}

// Slow makes the network one of the third generation on a bad day: 400 kbit/s,
// 400 ms from a question to its answer. Nothing is taken from the cache.
func (p *Tab) Slow() {
	p.t.Helper()
	const bytesPerSecond = 400_000 / 8
	do(p, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	do(p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{
			Latency: 400, DownloadThroughput: bytesPerSecond, UploadThroughput: bytesPerSecond, ConnectionType: network.ConnectionTypeCellular3g,
		}},
	})
}

// FirstPaint waits until the page shows something and returns how long that took
// from the moment it was asked for.
func (p *Tab) FirstPaint() time.Duration {
	p.t.Helper()
	const paint = `performance.getEntriesByName("first-contentful-paint")[0]`
	p.WaitUntil(paint)
	return time.Duration(Eval[float64](p, paint+".startTime") * float64(time.Millisecond))
}
