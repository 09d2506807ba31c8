package secret

import (
	"encoding/binary"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

var errNoCursor = authz.Refuse(authz.InvalidRequest, "the cursor is not one of this list: send what next of the page before said")

// Page reads a page of one of the owner's lists, and the cursor of the one behind it;
// empty is the cursor of the first, and that of the last is followed by none. Each page
// is read from where the one before ended (decision 0051). A cursor is sealed: it is good
// for the list it is of, and nobody learns from it how things are numbered here.
//
//	InvalidRequest: the cursor is not one of this list
func Page[T any](secrets Secrets, owner authz.Owner, list, cursor string, limit int,
	read func(after contract.Position, limit int) ([]T, error), position func(T) contract.Position,
) (found []T, next string, err error) {
	const timeLength = 8
	purpose := "list/" + list + "/" + owner.AccountID
	var after contract.Position
	if cursor != "" {
		plain, err := secrets.Open(purpose, cursor)
		if err != nil {
			return nil, "", errNoCursor
		}
		after = contract.Position{At: time.UnixMilli(int64(binary.BigEndian.Uint64(plain))), ID: string(plain[timeLength:])}
	}
	found, err = read(after, limit+1) // one more says that there is more
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	last := position(found[limit-1])
	plain := binary.BigEndian.AppendUint64(nil, uint64(last.At.UnixMilli()))
	next, err = secrets.Seal(purpose, append(plain, last.ID...))
	return found, next, err
}
