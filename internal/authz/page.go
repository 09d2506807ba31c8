package authz

import (
	"encoding/binary"
	"time"
)

// Position is where a page of a list begins: behind what was added at this time under
// this id, whether or not that is still there. The zero position is before all.
type Position struct {
	At time.Time
	ID string
}

var errNoCursor = refuse(InvalidRequest, "the cursor is not one of this list: send what next of the page before said")

// page reads a page of one of the owner's lists, and the cursor of the one behind it;
// empty is the cursor of the first, and that of the last is followed by none. Each page
// is read from where the one before ended (decision 0051). A cursor is sealed: it is good
// for the list it is of, and nobody learns from it how things are numbered here.
//
//	InvalidRequest: the cursor is not one of this list
func page[T any](secrets serverSecrets, owner Owner, list, cursor string, limit int,
	read func(after Position, limit int) ([]T, error), position func(T) Position,
) (found []T, next string, err error) {
	const timeLength = 8
	purpose := "list/" + list + "/" + owner.AccountID
	var after Position
	if cursor != "" {
		plain, err := secrets.takeBack(purpose, cursor)
		if err != nil {
			return nil, "", errNoCursor
		}
		after = Position{time.UnixMilli(int64(binary.BigEndian.Uint64(plain))), string(plain[timeLength:])}
	}
	found, err = read(after, limit+1) // one more says that there is more
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	last := position(found[limit-1])
	plain := binary.BigEndian.AppendUint64(nil, uint64(last.At.UnixMilli()))
	next, err = secrets.handOut(purpose, append(plain, last.ID...))
	return found, next, err
}
