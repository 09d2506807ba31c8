package kept

import (
	"bytes"
	"slices"

	"countersign.dev/internal/authz"
)

// SameKeys reports whether signing keys are those that somebody has seen.
func SameKeys(seen, there []authz.SigningKey) bool {
	return slices.EqualFunc(seen, there, func(a, b authz.SigningKey) bool {
		return a.ID == b.ID && a.Algorithm == b.Algorithm && bytes.Equal(a.Sealed, b.Sealed) && bytes.Equal(a.Public, b.Public) &&
			Time(a.CreatedAt) == Time(b.CreatedAt) && Time(a.SignsFrom) == Time(b.SignsFrom) && Time(a.SignsUntil) == Time(b.SignsUntil) &&
			Time(a.LeavesAt) == Time(b.LeavesAt) && Time(a.WithdrawnAt) == Time(b.WithdrawnAt)
	})
}
