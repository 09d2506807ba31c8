package authz_test

import (
	"errors"
	"fmt"
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

func TestWhatAStoreMayAnswerIsNoFailure(t *testing.T) {
	for _, outcome := range []error{
		authz.ErrNotFound, authz.ErrExists, authz.ErrReused, authz.ErrCounter, authz.ErrFull, authz.ErrGone, &authz.StateError{},
	} {
		if !authz.Promised(outcome) || !authz.Promised(fmt.Errorf("wrapped: %w", outcome)) {
			t.Errorf("%v is a failure", outcome)
		}
	}
	for _, failure := range []error{errors.New("disk full"), authz.ErrUnreachable} {
		if authz.Promised(failure) {
			t.Errorf("%v was promised", failure)
		}
	}
}
