package secret

import (
	"errors"
	"testing"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

func TestAPageSaysWhatFailedAndWhetherThereIsMore(t *testing.T) {
	torn := errors.New("torn")
	of := func(n int, err error) ([]int, string, error) {
		read := func(contract.Position, int) ([]int, error) { return make([]int, n), err }
		return Page(Secrets{}, authz.Owner{}, "grants", "", 3, read, func(int) contract.Position { return contract.Position{} })
	}
	for n := range 6 {
		if _, next, err := of(n, torn); !errors.Is(err, torn) || next != "" {
			t.Errorf("%d were found: next %q, %v", n, next, err)
		}
	}
	for n := range 4 {
		if found, next, err := of(n, nil); len(found) != n || next != "" || err != nil {
			t.Errorf("of %d it has %d, next %q, %v", n, len(found), next, err)
		}
	}
}
