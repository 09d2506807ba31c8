package cli

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A password is worth the same in the browser and here.
func TestTheScaleOfPasswordsIsThePagesOwn(t *testing.T) {
	text, err := os.ReadFile("../../web/testdata/strength.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Password, Strength string
		Known              []string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	words := map[string]string{"short": "too short", "weak": "easily guessed", "fair": "fair", "strong": "strong"}
	for _, v := range vectors {
		if got := strength(v.Password, v.Known...); got != words[v.Strength] {
			t.Errorf("%q is %s, and %s on the pages", v.Password, got, v.Strength)
		}
	}
	page, err := os.ReadFile("../../web/src/strength.ts")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "const common = (")
	list, _, _ = strings.Cut(list, ").split")
	var there string
	for _, part := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(list, -1) {
		there += part[1]
	}
	if there != commonWords {
		t.Errorf("the pages know other words:\n%s\n%s", there, commonWords)
	}
}
