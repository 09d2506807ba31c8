//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"countersign.dev/e2e/browser"
)

// fullWidth writes letters as Japanese keyboards do.
func fullWidth(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r - 'A' + 'Ａ'
		}
		return r
	}, text)
}

func TestPageD39_CodesAreTakenHoweverTheyAreTyped(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	device := h.ask(t, nil)
	first, last, _ := strings.Cut(device.code, "-")
	for how, text := range map[string]string{
		"as it is shown": device.code, "lower case": strings.ToLower(device.code), "without a dash": first + last,
		"with spaces": " " + first + "  " + last + " ", "letter by letter": strings.Join(strings.Split(first+last, ""), " "),
		"another dash": first + "–" + last, "full width": fullWidth(first + "－" + last),
		"a link": h.base + "/device?code=" + device.code, "a link of the other kind": h.base + "/device?user_code=" + strings.ToLower(device.code),
	} {
		for way, enter := range map[string]func(string){"typed": tab.Keys, "pasted": tab.Insert} {
			tab.Open(h.base + "/device")
			tab.Click(codeField)
			enter(text)
			if got := browser.Eval[string](tab, `document.querySelector("input[name=code]").value`); got != device.code && !strings.Contains(how, "link") {
				t.Errorf("%s, %s: the field shows %q", how, way, got)
			}
			tab.Press("Enter")
			tab.WaitFor("#decision, #problem")
			if tab.Shows("#problem") {
				t.Errorf("%s, %s: %q is refused", how, way, browser.Eval[string](tab, `document.querySelector("input[name=code]").value`))
				continue
			}
			if got := tab.Text("#user-code"); got != device.code {
				t.Errorf("%s, %s: the review is of %q", how, way, got)
			}
		}
	}
}

func TestPageD39_TheFieldGroupsWhatIsTypedAndLeavesTheCaretAlone(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.guest(t)
	tab.Open(h.base + "/device")
	tab.Click(codeField)
	const value = `document.querySelector("input[name=code]").value`
	grouped := func(want string) {
		t.Helper()
		if got := browser.Eval[string](tab, value); got != want {
			t.Errorf("the field shows %q, want %q", got, want)
		}
	}
	tab.Keys("bcdf")
	grouped("BCDF")
	tab.Keys("g")
	grouped("BCDF-G")
	tab.Screenshot("enter-typing")
	tab.Press("Backspace", "Backspace")
	grouped("BCD")
	tab.Keys("fghj")
	tab.Press("Home", "ArrowRight")
	tab.Press("Backspace") // the first letter, mended
	tab.Keys("x")
	grouped("XCDF-GHJ")
	tab.Keys("z")
	grouped("XZCD-FGHJ")
	tab.Press("End")
	tab.Insert("これは")
	grouped("XZCD-FGHJこれは")
	tab.Press("Enter")
	tab.WaitFor("#problem")
	if got := tab.Text("#problem"); !strings.HasPrefix(got, "That is not a code") {
		t.Errorf("the page says %q", got)
	}
	grouped("XZCD-FGHJこれは") // a mistake in typing can be mended
	tab.Axe()
	tab.Screenshot("enter-not-a-code")
}

func TestPageD34_AWrongCodeSaysSoAndTooManyStopForAWhile(t *testing.T) {
	t.Parallel()
	h := startInstance(t)
	tab := h.resident(t)
	for n := range 8 {
		h.enter(tab, "BBBB-BBBB")
		tab.WaitFor("#problem")
		text := tab.Text("#problem")
		if n == 0 && !strings.HasPrefix(text, "This code cannot be used") {
			t.Errorf("the page says %q", text)
		}
		if strings.HasPrefix(text, "Too many wrong codes") {
			tab.Axe()
			tab.Screenshot("enter-too-many")
			return
		}
	}
	t.Error("nobody stops the guessing")
}
