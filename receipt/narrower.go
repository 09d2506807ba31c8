package receipt

import (
	"errors"
	"slices"
	"strings"

	"countersign.dev/details"
)

// NarrowerThan says whether a statement is the widest one that its owner could sign, as the
// server gave it, or a narrower one: nil when scope, resource, authorization_details, depth
// and not_after are no more, presence is whatever was done, and all else is the same.
func (d Delegation) NarrowerThan(widest Delegation) error {
	same := d
	same.Scope, same.Resource, same.Details, same.Depth, same.NotAfter, same.Presence =
		widest.Scope, widest.Resource, widest.Details, widest.Depth, widest.NotAfter, widest.Presence
	if same.Encode() != widest.Encode() {
		return errors.New("it is about something else than what was asked")
	}
	if d.Depth > widest.Depth {
		return errors.New("depth is more than what was asked")
	}
	if !inOrder(d.Scope, widest.Scope) {
		return errors.New("scope has more than there is, or in another order")
	}
	return d.within(widest, details.Narrower)
}

// within is what is the same between all statements of which one is to be narrower.
func (d Delegation) within(wide Delegation, narrower func(x, y details.List) error) error {
	for i, resource := range d.Resource {
		if !slices.Contains(wide.Resource, resource) || slices.Contains(d.Resource[:i], resource) {
			return errors.New("resource has one that there is not, or one twice")
		}
	}
	if d.NotAfter > wide.NotAfter {
		return errors.New("not_after is later than it may be")
	}
	x, err := d.AuthorizationDetails()
	if err != nil {
		return err
	}
	y, err := wide.AuthorizationDetails()
	if err != nil {
		return err
	}
	return narrower(x, y)
}

// inOrder reports whether a scope has nothing but what is in another, each once, in its order
// and as it is written there.
func inOrder(scope, wide string) bool {
	left := strings.Fields(wide)
	for name := range strings.SplitSeq(scope, " ") {
		i := slices.Index(left, name)
		if i < 0 {
			return scope == ""
		}
		left = left[i+1:]
	}
	return true
}

// among reports whether a scope has nothing but what is in another, each once; the order is
// nobody's business where nothing is shown.
func among(scope, wide string) bool {
	there, names := strings.Fields(wide), strings.Fields(scope)
	for i, name := range names {
		if !slices.Contains(there, name) || slices.Contains(names[:i], name) {
			return false
		}
	}
	return strings.Join(names, " ") == scope
}
