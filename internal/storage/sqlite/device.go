package sqlite

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const insertDeviceRequest = `
INSERT INTO device_requests (id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
	signed_only, match_number, nonce, network, user_agent, origin, device_name, platform, client_proved, redirect, resources, thumbprint, asked)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// CreateDeviceRequest implements contract.DeviceStore.
func (s *Store) CreateDeviceRequest(ctx context.Context, r authz.DeviceRequest) error {
	return s.insert(ctx, "storing a device request", single, func(c *sqlite.Conn) error { return s.storeRequest(c, r) })
}

// storeRequest stores a request and enters it into the index.
//
//	contract.ErrExists
func (s *Store) storeRequest(c *sqlite.Conn, r authz.DeviceRequest) error {
	keys := s.index.hashes(r.DeviceCode, r.UserCode, r.ID)
	taken, err := s.index.taken(c, keys)
	if err != nil {
		return err
	}
	if taken {
		return contract.ErrExists
	}
	_, err = exec(c, insertDeviceRequest, r.ID, r.DeviceCode, r.UserCode, r.ClientID, r.Scope, r.State, r.AccountID,
		r.CreatedAt, r.ExpiresAt, r.SignatureRequired, r.MatchNumber, r.Nonce,
		r.Seen.Network, r.Seen.UserAgent, r.Says.Origin, r.Says.Name, r.Says.Platform, r.ClientProved, kept.Redirect(r.Redirect), kept.Resources(r.Resources), r.Thumbprint, kept.Asked(r.Asked))
	if err == nil {
		s.index.add(keys, c.LastInsertRowID())
	}
	return err
}

const selectDeviceRequest = `
SELECT id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
	signed_only, match_number, nonce, network, user_agent, origin, device_name, platform, client_proved, redirect, resources, thumbprint, asked
FROM device_requests WHERE `

func scanDeviceRequest(into *authz.DeviceRequest) func(*sqlite.Stmt) {
	return func(r *sqlite.Stmt) {
		*into = authz.DeviceRequest{
			ID: r.ColumnText(0), DeviceCode: columnHash(r, 1), UserCode: columnHash(r, 2), ClientID: r.ColumnText(3),
			Scope: r.ColumnText(4), State: authz.State(r.ColumnText(5)), AccountID: r.ColumnText(6),
			CreatedAt: columnTime(r, 7), ExpiresAt: columnTime(r, 8),
			SignatureRequired: r.ColumnBool(9), MatchNumber: r.ColumnInt(10), Nonce: r.ColumnText(11),
			Seen: authz.Seen{Network: r.ColumnText(12), UserAgent: r.ColumnText(13)},
			Says: authz.DeviceSays{Name: r.ColumnText(15), Platform: r.ColumnText(16), Origin: r.ColumnText(14)},

			ClientProved: r.ColumnBool(17), Resources: kept.ResourcesOf(r.ColumnText(19)), Thumbprint: r.ColumnText(20),
		}
		into.Redirect, _ = kept.RedirectOf(r.ColumnText(18)) // we wrote it
		into.Asked, _ = kept.AskedOf(r.ColumnText(21))
	}
}

// DeviceRequest implements contract.DeviceStore.
func (s *Store) DeviceRequest(ctx context.Context, deviceCode authz.Hash) (authz.DeviceRequest, error) {
	return s.deviceRequest(ctx, s.index.hash(byDeviceCode, deviceCode[:]), deviceRequestByCode, deviceCode)
}

// DeviceRequestByUserCode implements contract.DeviceStore.
func (s *Store) DeviceRequestByUserCode(ctx context.Context, userCode authz.Hash) (authz.DeviceRequest, error) {
	return s.deviceRequest(ctx, s.index.hash(byUserCode, userCode[:]), selectDeviceRequest+`seq = ? AND user_code = ?`, userCode)
}

const (
	deviceRequestByCode = selectDeviceRequest + `seq = ? AND device_code = ?`
	deviceRequestByID   = selectDeviceRequest + `seq = ? AND id = ?`
)

// DeviceRequestByID implements contract.DeviceStore.
func (s *Store) DeviceRequestByID(ctx context.Context, id string) (authz.DeviceRequest, error) {
	return s.deviceRequest(ctx, s.index.hash(byID, []byte(id)), deviceRequestByID, id)
}

func (s *Store) deviceRequest(ctx context.Context, h uint64, statement string, key any) (found authz.DeviceRequest, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		for row := int64(0); ; {
			if row, err = s.index.find(c, h, row); err != nil {
				return err
			}
			if row == 0 {
				return contract.ErrNotFound
			}
			// Not there: it was swept, or the entry is another key's.
			if err := one(c, scanDeviceRequest(&found), statement, row, key); !errors.Is(err, contract.ErrNotFound) {
				return err
			}
		}
	})
	return found, wrap("reading a device request", err)
}

// withRequest is a write of several statements about the request that may be
// found in a row; the row is 0 where there is none.
func (s *Store) withRequest(ctx context.Context, h uint64, run func(c *sqlite.Conn, row int64) error) error {
	return s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		row, err := s.index.findToWrite(c, h)
		if err != nil {
			return err
		}
		return run(c, row)
	})
}

func (s *Store) withRequestID(ctx context.Context, id string, run func(c *sqlite.Conn, row int64) error) error {
	return s.withRequest(ctx, s.index.hash(byID, []byte(id)), run)
}

// OpenDeviceRequest implements contract.DeviceStore.
func (s *Store) OpenDeviceRequest(ctx context.Context, o contract.Opening) (opened contract.Opened, err error) {
	err = s.withRequestID(ctx, o.RequestID, func(c *sqlite.Conn, row int64) error {
		if err := one(c, scanDeviceRequest(&opened.Request), deviceRequestByID, row, o.RequestID); err != nil {
			return err
		}
		if opened.Request.StateAt(o.At) != authz.Pending {
			return &contract.StateError{Request: opened.Request}
		}
		if o.Claim && opened.Request.AccountID == "" {
			if _, err := exec(c, `UPDATE device_requests SET account_id = ? WHERE seq = ?`, o.AccountID, row); err != nil {
				return err
			}
			opened.Request.AccountID = o.AccountID
		}
		return noteOpening(c, row, o, &opened)
	})
	if err != nil {
		return contract.Opened{}, wrap("opening a device request", err)
	}
	return opened, nil
}

// noteOpening stores the openers of a request's row and counts them all.
func noteOpening(c *sqlite.Conn, row int64, o contract.Opening, into *contract.Opened) error {
	const note = `INSERT OR IGNORE INTO device_openings (request, kind, opener) VALUES (?, ?, ?)`
	if o.AccountID != "" {
		if _, err := exec(c, note, row, kept.OpenedByAccount, []byte(o.AccountID)); err != nil {
			return err
		}
	}
	if o.Browser != (authz.Hash{}) {
		if _, err := exec(c, note, row, kept.OpenedByBrowser, o.Browser); err != nil {
			return err
		}
	}
	_, err := query(c, func(r *sqlite.Stmt) {
		switch r.ColumnInt(0) {
		case kept.OpenedByAccount:
			into.Accounts = r.ColumnInt(1)
		case kept.OpenedByBrowser:
			into.Browsers = r.ColumnInt(1)
		}
	}, `SELECT kind, count(*) FROM device_openings WHERE request = ? GROUP BY kind`, row)
	return err
}

// CancelDeviceRequest implements contract.DeviceStore.
func (s *Store) CancelDeviceRequest(ctx context.Context, id string, now time.Time) error {
	return wrap("cancelling a device request", s.withRequestID(ctx, id, func(c *sqlite.Conn, row int64) error {
		n, err := exec(c, `UPDATE device_requests SET state = 'denied', account_id = ''
			WHERE seq = ?3 AND id = ?1 AND state = 'pending' AND expires_at > ?2`, id, now, row)
		return changedOr(c, n, err, deviceRequestByID, row, id)
	}))
}

// changedOr explains why a conditional update of a device request changed
// nothing.
func changedOr(c *sqlite.Conn, changed int, err error, statement string, args ...any) error {
	if err != nil || changed == 1 {
		return err
	}
	var found authz.DeviceRequest
	if err := one(c, scanDeviceRequest(&found), statement, args...); err != nil {
		return err
	}
	return &contract.StateError{Request: found}
}

// The account that decides must have opened the request, or nobody has and ?5
// allows that.
const decideDeviceRequest = `
UPDATE device_requests SET state = ?1, account_id = ?2
WHERE seq = ?6 AND id = ?3 AND state = 'pending' AND expires_at > ?4 AND (account_id = ?2 OR (?5 AND account_id = ''))`

// ApproveDeviceRequest implements contract.DeviceStore.
func (s *Store) ApproveDeviceRequest(ctx context.Context, a contract.Approval) error {
	return wrap("approving a device request", s.withRequestID(ctx, a.RequestID, func(c *sqlite.Conn, row int64) error {
		n, err := exec(c, decideDeviceRequest, authz.Approved, a.AccountID, a.RequestID, a.At, a.Unclaimed, row)
		if err := changedOr(c, n, err, deviceRequestByID, row, a.RequestID); err != nil {
			return err
		}
		if err := approverThere(c, a); err != nil {
			return err
		}
		if err := admitAgent(c, a); err != nil {
			return err
		}
		if err := makeRoom(c, a); err != nil {
			return err
		}
		if a.LetIn != nil {
			if err := letIn(c, a); err != nil {
				return err
			}
		}
		if err := insertGrant(c, a.Grant, a.Receipt); err != nil {
			return err
		}
		if a.Consent != nil {
			if err := insertConsent(c, *a.Consent, a.ConsentsKeep); err != nil {
				return err
			}
		}
		return insertEvent(c, a.Event)
	}))
}

// approverThere fails unless the identity and the passkey that approve are the
// account's, and the consent stands by which they do.
//
//	contract.ErrGone
func approverThere(c *sqlite.Conn, a contract.Approval) error {
	g := a.Grant
	err := hasIdentity(c, g.AccountID, g.BAPID)
	if err == nil && g.Passkey != "" {
		err = one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM passkeys WHERE id = ? AND account_id = ?`, g.Passkey, g.AccountID)
	}
	if err == nil && a.LetIn != nil {
		err = one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM consents WHERE account_id = ? AND client_id = ? AND bap_id = ? AND grant_id = ? AND expires_at > ?`,
			g.AccountID, g.ClientID, g.BAPID, a.LetIn.By, a.At)
	}
	if errors.Is(err, contract.ErrNotFound) {
		return contract.ErrGone
	}
	return err
}

// DenyDeviceRequest implements contract.DeviceStore.
func (s *Store) DenyDeviceRequest(ctx context.Context, d contract.Denial) error {
	return wrap("denying a device request", s.withRequestID(ctx, d.RequestID, func(c *sqlite.Conn, row int64) error {
		n, err := exec(c, decideDeviceRequest, authz.Denied, d.AccountID, d.RequestID, d.At, d.Unclaimed, row)
		if err := changedOr(c, n, err, deviceRequestByID, row, d.RequestID); err != nil {
			return err
		}
		if err := insertEvent(c, d.Event); err != nil {
			return err
		}
		if err := forgetConsents(c, `SELECT account_id, client_id FROM device_requests WHERE seq = ?`, row); err != nil {
			return err
		}
		if d.Pauses != "" {
			if _, err := exec(c, pauseAgent, d.At, d.AccountID, d.Pauses); err != nil {
				return err
			}
		}
		return noteReports(c, d.Reported, d.AccountID, d.Reporter, d.At, d.Keep)
	}))
}

// What an agent asked for is redeemed while its whole line is alive, and nothing of it paused.
const redeemRequest = `UPDATE device_requests SET state = 'redeemed'
	WHERE seq = ?1 AND device_code = ?2 AND client_id = ?3 AND state = 'approved' AND expires_at > ?4
		AND (asked = '' OR EXISTS (SELECT 1 FROM grants g WHERE g.id = device_requests.id AND ` + living4 + ` AND ` + paused4 + ` = 0))`

// notRedeemed tells what an agent may not redeem from what is in another state.
//
//	contract.ErrPaused, contract.ErrGone
func notRedeemed(c *sqlite.Conn, err error, now time.Time) error {
	var state *contract.StateError
	if !errors.As(err, &state) || state.Request.StateAt(now) != authz.Approved {
		return err
	}
	_, err = livingLine(c, state.Request.ID, now)
	if errors.Is(err, contract.ErrNotFound) && notAlive(err) {
		return contract.ErrGone
	}
	return cmp.Or(err, error(state))
}

// RedeemDeviceRequest implements contract.DeviceStore.
func (s *Store) RedeemDeviceRequest(ctx context.Context, r contract.Redemption) error {
	h := s.index.hash(byDeviceCode, r.DeviceCode[:])
	return wrap("redeeming a device request", s.withRequest(ctx, h, func(c *sqlite.Conn, row int64) error {
		n, err := exec(c, redeemRequest, row, r.DeviceCode, r.ClientID, r.At)
		if err := changedOr(c, n, err, deviceRequestByCode+` AND client_id = ?`, row, r.DeviceCode, r.ClientID); err != nil {
			return notRedeemed(c, err, r.At)
		}
		_, err = exec(c, `UPDATE grants SET last_used_at = ?1 WHERE id = (SELECT id FROM device_requests WHERE seq = ?2)`, r.At, row)
		if err != nil || r.RefreshToken == nil {
			return err
		}
		return insertRefreshToken(c, *r.RefreshToken)
	}))
}

// countedAtMost is how many rows PendingDeviceRequests looks at, and countedBlock
// how many of them stand together.
const (
	countedAtMost = 200_000
	countedBlock  = 1000
)

const pendingIn = `SELECT client_id FROM device_requests WHERE seq >= ? AND seq < ? AND state = 'pending' AND expires_at > ?`

// PendingDeviceRequests implements contract.DeviceStore.
//
// Of more than countedAtMost rows it looks at blocks that are evenly spread; what
// it finds is multiplied. The rows are grouped here: SQLite would sort all of them
// first.
func (s *Store) PendingDeviceRequests(ctx context.Context, clientIDs []string, now time.Time) (total int, of map[string]int, err error) {
	counts := make(map[string]*int, len(clientIDs))
	for _, id := range clientIDs {
		counts[id] = new(int)
	}
	var id []byte
	var every int64 // of so many rows one is looked at
	err = s.read(ctx, func(c *sqlite.Conn) error {
		first, last, err := requestRows(c)
		if err != nil {
			return err
		}
		every = (last-first)/s.countedAtMost + 1
		for block := first; block <= last; block += countedBlock * every {
			_, err := query(c, func(r *sqlite.Stmt) {
				total++
				id = slices.Grow(id[:0], r.ColumnLen(0))
				id = id[:r.ColumnBytes(0, id[:r.ColumnLen(0)])]
				if n := counts[string(id)]; n != nil { // without making a string of each
					*n++
				}
			}, pendingIn, block, block+countedBlock, now)
			if err != nil {
				return err
			}
			runtime.Gosched() // on one processor others would wait for the scheduler's ten milliseconds
		}
		return ctx.Err()
	})
	if err != nil {
		return 0, nil, wrap("counting device requests", err)
	}
	of = map[string]int{}
	for id, n := range counts {
		if *n > 0 {
			of[id] = *n * int(every)
		}
	}
	return total * int(every), of, nil
}

// requestRows are the lowest and the highest number of a row, 0 and -1 where there
// is none. Each is asked for by itself, which SQLite answers from the end of the
// table.
func requestRows(c *sqlite.Conn) (first, last int64, err error) {
	last = -1
	_, err = query(c, func(r *sqlite.Stmt) { first = r.ColumnInt64(0) }, `SELECT seq FROM device_requests ORDER BY seq LIMIT 1`)
	if err == nil {
		_, err = query(c, func(r *sqlite.Stmt) { last = r.ColumnInt64(0) }, `SELECT seq FROM device_requests ORDER BY seq DESC LIMIT 1`)
	}
	return first, last, err
}
