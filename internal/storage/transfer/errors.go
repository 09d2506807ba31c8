package transfer

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooFast says that a server wrote to the file faster than it was copied.
var ErrTooFast = errors.New("writes came faster than they could be copied")

// said is how many rows an error names.
const said = 10

// Unfit is a value that PostgreSQL cannot keep as it is.
type Unfit struct{ Table, Key, Column, Why string }

// String names the value and says what is wrong with it.
func (u Unfit) String() string {
	return fmt.Sprintf("%s (%s): %s %s", u.Table, u.Key, u.Column, u.Why)
}

// UnfitError names rows with values that PostgreSQL cannot keep as they are.
type UnfitError struct {
	Rows []Unfit
	// More: there are others.
	More bool
}

// Error names the rows.
func (e *UnfitError) Error() string {
	return "PostgreSQL cannot keep " + list(e.Rows, e.More)
}

// Difference is a row that is not the same in both databases.
type Difference struct{ Table, Key, What string }

// String names the row and says what differs.
func (d Difference) String() string {
	if d.Key == "" {
		return d.Table + ": " + d.What
	}
	return fmt.Sprintf("%s (%s): %s", d.Table, d.Key, d.What)
}

// DifferError names rows that are not the same in both databases.
type DifferError struct {
	Rows []Difference
	// More: there are others.
	More bool
}

// Error names the rows.
func (e *DifferError) Error() string {
	return "the copy is not the same: " + list(e.Rows, e.More)
}

func list[T fmt.Stringer](rows []T, more bool) string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = row.String()
	}
	text := strings.Join(texts, "; ")
	if more {
		text += "; and others"
	}
	return text
}

// UnfinishedError says that the move stopped where another run goes on. Servers
// use the target only after that.
type UnfinishedError struct {
	// Moved: the file is written to no more. Otherwise it goes on as before.
	Moved bool
	Err   error
}

// Error says where the data is.
func (e *UnfinishedError) Error() string {
	if e.Moved {
		return "everything is copied, but the new database is not open yet: " + e.Err.Error()
	}
	return "nothing was moved, and the server goes on as before, but it is not known whether the copy was kept: " + e.Err.Error()
}

// Unwrap returns what stopped it.
func (e *UnfinishedError) Unwrap() error { return e.Err }
