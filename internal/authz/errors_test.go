package authz_test

import (
	"errors"
	"testing"

	"countersign.dev/internal/authz"
)

func TestARefusalSaysItsCauseToTheLogOnly(t *testing.T) {
	plain := &authz.Error{Code: authz.Forbidden, Description: "no"}
	caused := &authz.Error{Code: authz.Forbidden, Description: "no", Cause: errors.New("because")}
	if plain.Error() != "forbidden: no" || caused.Error() != "forbidden: no: because" {
		t.Errorf("%q and %q", plain, caused)
	}
	if !errors.Is(caused, authz.Forbidden) || errors.Is(caused, authz.NotFound) {
		t.Error("it is of another code")
	}
}
