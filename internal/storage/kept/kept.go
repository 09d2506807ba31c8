package kept

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Time is how a time is kept: milliseconds; the zero time is 0.
func Time(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// TimeOf is the time that is kept as a number.
func TimeOf(kept int64) time.Time {
	if kept == 0 {
		return time.Time{}
	}
	return time.UnixMilli(kept)
}

// UpTo is the latest time, as it is kept, that there can be behind a position.
func UpTo(p contract.Position) int64 {
	if p.At.IsZero() {
		return math.MaxInt64
	}
	return p.At.UnixMilli()
}

// Kinds of those who open a device request.
const (
	OpenedByAccount = 1
	OpenedByBrowser = 2
)

// WayEvents are authz.WayEvents as a list that a statement's IN takes.
var WayEvents = words(authz.WayEvents)

// words are constants of ours, in which no quote needs to be doubled.
func words[T ~string](all []T) string {
	quoted := make([]string, len(all))
	for i, word := range all {
		quoted[i] = "'" + string(word) + "'"
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}

// Resources is how the URIs of resources are kept, in which there is no space.
func Resources(uris []string) string { return strings.Join(uris, " ") }

// ResourcesOf are the resources of which this is kept.
func ResourcesOf(kept string) []string {
	if kept == "" {
		return nil
	}
	return strings.Split(kept, " ")
}

func document(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types kept as JSON hold nothing that cannot be encoded
	}
	return string(b)
}
