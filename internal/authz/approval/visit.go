package approval

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/secret"
	"countersign.dev/internal/authz/usercode"
)

// visitLifetime is how long a code survives a sign-in: as long as the longest
// life a code may have.
const visitLifetime = 30 * time.Minute

const (
	visitPurpose   = "visit"
	visitSeparator = " " // in no code and in no account's id; in clients' ids, which come last
)

// StartVisit keeps a typed user code over a sign-in under an opaque id: nobody but
// this server can read the code out of it, so that it may stand in an address, and a
// person who signs in goes on to nothing else (requirement Z-23, attack B-16).
// Nothing is stored, and nothing is said of whether the code exists.
//
//	NotACode: the text cannot be a code
func (s *Approvals) StartVisit(typed string) (id, code string, err error) {
	code, plausible := usercode.Parse(typed)
	if !plausible {
		return "", "", errNotACode
	}
	id, err = s.seal(code, "", "")
	return id, code, err
}

// seal makes a visit of a code, the account that has opened its request or none, and the
// client that it leads back to or none.
func (s *Approvals) seal(code, opener, application string) (id string, err error) {
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.now().Add(visitLifetime).Unix()))
	plain = append(plain, strings.Join([]string{code, opener, application}, visitSeparator)...)
	return s.secrets.Seal(visitPurpose, plain)
}

// VisitFor is a visit that leads an owner to the review of a request that is theirs.
func (s *Approvals) VisitFor(owner authz.Owner, code string, r authz.DeviceRequest) (id string, err error) {
	application := ""
	if r.ByRedirect() {
		application = r.ClientID
	}
	return s.seal(code, owner.AccountID, application)
}

// VisitCode returns the user code of a visit, and the account that opened its request
// in it, or none.
//
//	ReviewOver: not a visit of this server, or over
func (s *Approvals) VisitCode(id string) (code, opener string, err error) {
	code, opener, _, err = s.openVisit(id)
	return code, opener, err
}

// VisitApplication is the client whose request by redirect a visit is for, of one that is over
// too: who comes late is to learn where to start again. It is empty for any other visit.
func (s *Approvals) VisitApplication(id string) (clientID string, err error) {
	_, _, clientID, err = s.openVisit(id)
	if errors.Is(err, authz.ReviewOver) {
		err = nil
	}
	return clientID, err
}

// openVisit reads what seal wrote. Of a visit that is over it returns the application all the
// same.
func (s *Approvals) openVisit(id string) (code, opener, application string, err error) {
	const expiryLength = 8
	plain, err := s.secrets.Open(visitPurpose, id)
	if errors.Is(err, secret.ErrNotSealed) {
		return "", "", "", authz.ErrReviewOver
	}
	if err != nil {
		return "", "", "", err
	}
	code, rest, _ := strings.Cut(string(plain[expiryLength:]), visitSeparator)
	opener, application, _ = strings.Cut(rest, visitSeparator)
	if uint64(s.now().Unix()) >= binary.BigEndian.Uint64(plain) {
		return "", "", application, authz.ErrReviewOver
	}
	return code, opener, application, nil
}

// Returning returns the asker as one who comes back to a request, if a visit says that
// its owner has opened it. That it is gone is no guess then: who has such a visit had the
// right code.
func (s *Approvals) Returning(owner authz.Owner, asker authz.Asker, visit string) authz.Asker {
	if code, opener, err := s.VisitCode(visit); err == nil && opener == owner.AccountID {
		asker.Opened = code
	}
	return asker
}

var errNotACode = authz.Refuse(authz.NotACode, "that is not a code: enter the letters that your device shows")
