package contract_test

import (
	"errors"
	"fmt"
	"testing"

	"countersign.dev/internal/authz/contract"
)

func TestWhatAStoreMayAnswerIsNoFailure(t *testing.T) {
	for _, outcome := range []error{
		contract.ErrNotFound, contract.ErrExists, contract.ErrReused, contract.ErrCounter, contract.ErrFull, contract.ErrGone, contract.ErrChanged, &contract.StateError{},
	} {
		if !contract.Promised(outcome) || !contract.Promised(fmt.Errorf("wrapped: %w", outcome)) {
			t.Errorf("%v is a failure", outcome)
		}
	}
	for _, failure := range []error{errors.New("disk full"), contract.ErrUnreachable} {
		if contract.Promised(failure) {
			t.Errorf("%v was promised", failure)
		}
	}
}
