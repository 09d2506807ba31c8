package details

import (
	"fmt"
	"strings"
)

// Error says what is wrong with a list, or wider than it may be, in words for the developer
// who wrote it. They quote nothing of the list, and have the characters that an
// error_description may have (RFC 6749 §5.2).
type Error struct {
	// Element counts from 1; 0 is the list itself.
	Element int
	// Member of the element, perhaps with an operator after it ("constraints.max"); empty
	// when it is the element as such.
	Member string
	// Problem is the rest of the sentence.
	Problem string
}

// Error is the whole sentence.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Member != "" {
		b.WriteString(e.Member + " of ")
	}
	if e.Element > 0 {
		fmt.Fprintf(&b, "element %d of ", e.Element)
	}
	return b.String() + "authorization_details " + e.Problem
}

// at says of which element an error is.
func at(element int, e *Error) error {
	return &Error{Element: element, Member: e.Member, Problem: e.Problem}
}

func wrong(member, problem string) *Error { return &Error{Member: member, Problem: problem} }
