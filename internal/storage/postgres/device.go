package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const requestColumns = `id, device_code, user_code, client_id, scope, state, account_id, created_at, expires_at,
	signed_only, match_number, nonce, network, user_agent, origin, device_name, platform, client_proved, redirect, resources, thumbprint, asked`

const insertDeviceRequest = `INSERT INTO device_requests (` + requestColumns + `)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) ON CONFLICT DO NOTHING`

// CreateDeviceRequest implements contract.DeviceStore.
func (s *Store) CreateDeviceRequest(ctx context.Context, r authz.DeviceRequest) error {
	return s.insert(ctx, "storing a device request", r.ID, insertDeviceRequest, requestArgs(r)...)
}

func requestArgs(r authz.DeviceRequest) []any {
	return []any{
		r.ID, r.DeviceCode[:], r.UserCode[:], r.ClientID, r.Scope, string(r.State), r.AccountID,
		kept.Time(r.CreatedAt), kept.Time(r.ExpiresAt), r.SignatureRequired, r.MatchNumber, r.Nonce,
		r.Seen.Network, r.Seen.UserAgent, r.Says.Origin, r.Says.Name, r.Says.Platform, r.ClientProved, kept.Redirect(r.Redirect), kept.Resources(r.Resources), r.Thumbprint, kept.Asked(r.Asked),
	}
}

// requestFields are where a row's requestColumns go.
func requestFields(r *authz.DeviceRequest) []any {
	return []any{
		&r.ID,
		toHash{&r.DeviceCode},
		toHash{&r.UserCode},
		&r.ClientID, &r.Scope, (*string)(&r.State), &r.AccountID,
		toTime{&r.CreatedAt},
		toTime{&r.ExpiresAt},
		&r.SignatureRequired, &r.MatchNumber, &r.Nonce,
		&r.Seen.Network, &r.Seen.UserAgent, &r.Says.Origin, &r.Says.Name, &r.Says.Platform, &r.ClientProved,
		toRedirect{&r.Redirect},
		toResources{&r.Resources},
		&r.Thumbprint,
		toAsked{&r.Asked},
	}
}

// toAsked reads what an agent asks.
type toAsked struct{ into *authz.Asked }

// ScanText implements pgtype.TextScanner.
func (a toAsked) ScanText(v pgtype.Text) (err error) {
	*a.into, err = kept.AskedOf(v.String)
	return err
}

// toRedirect reads where a request leads back to.
type toRedirect struct{ into *authz.Redirect }

// ScanText implements pgtype.TextScanner.
func (r toRedirect) ScanText(v pgtype.Text) (err error) {
	*r.into, err = kept.RedirectOf(v.String)
	return err
}

// toResources reads the URIs of resources.
type toResources struct{ into *[]string }

// ScanText implements pgtype.TextScanner.
func (r toResources) ScanText(v pgtype.Text) error {
	*r.into = kept.ResourcesOf(v.String)
	return nil
}

const (
	requestByDeviceCode = `SELECT ` + requestColumns + ` FROM device_requests WHERE device_code = $1`
	requestByUserCode   = `SELECT ` + requestColumns + ` FROM device_requests WHERE user_code = $1`
	requestByID         = `SELECT ` + requestColumns + ` FROM device_requests WHERE id = $1`
)

// DeviceRequest implements contract.DeviceStore.
func (s *Store) DeviceRequest(ctx context.Context, deviceCode authz.Hash) (authz.DeviceRequest, error) {
	return s.deviceRequest(ctx, requestByDeviceCode, deviceCode[:])
}

// DeviceRequestByUserCode implements contract.DeviceStore.
func (s *Store) DeviceRequestByUserCode(ctx context.Context, userCode authz.Hash) (authz.DeviceRequest, error) {
	return s.deviceRequest(ctx, requestByUserCode, userCode[:])
}

// DeviceRequestByID implements contract.DeviceStore.
func (s *Store) DeviceRequestByID(ctx context.Context, id string) (authz.DeviceRequest, error) {
	return s.deviceRequest(ctx, requestByID, id)
}

func (s *Store) deviceRequest(ctx context.Context, statement string, args ...any) (r authz.DeviceRequest, err error) {
	err = s.one(ctx, "reading a device request", statement, args, requestFields(&r)...)
	return r, err
}

// Whoever opens a request locks it, so that what is noted and counted belongs to
// the state that is returned. What a statement inserts it does not count.
const (
	claimRequest = `UPDATE device_requests SET account_id = CASE
			WHEN $3 AND account_id = '' AND state = 'pending' AND expires_at > $4 THEN $2 ELSE account_id END
		WHERE id = $1 RETURNING ` + requestColumns
	noteOpening = `WITH opened AS (
		SELECT seq FROM device_requests WHERE id = $1 AND state = 'pending' AND expires_at > $4
	), noted AS (
		INSERT INTO device_openings (request, kind, opener)
		SELECT seq, kind, opener FROM opened, unnest($2::int[], $3::bytea[]) AS openers (kind, opener)
		ON CONFLICT DO NOTHING RETURNING kind
	), all_of_them AS (
		SELECT kind FROM device_openings WHERE request = (SELECT seq FROM opened) UNION ALL SELECT kind FROM noted
	)
	SELECT count(*) FILTER (WHERE kind = 1), count(*) FILTER (WHERE kind = 2) FROM all_of_them`
)

// OpenDeviceRequest implements contract.DeviceStore.
func (s *Store) OpenDeviceRequest(ctx context.Context, o contract.Opening) (opened contract.Opened, err error) {
	r, kinds, openers, now := &opened.Request, []int(nil), [][]byte(nil), kept.Time(o.At)
	if o.AccountID != "" {
		kinds, openers = append(kinds, kept.OpenedByAccount), append(openers, []byte(o.AccountID))
	}
	if o.Browser != (authz.Hash{}) {
		kinds, openers = append(kinds, kept.OpenedByBrowser), append(openers, o.Browser[:])
	}
	err = s.write(ctx, "opening a device request", o.RequestID, func(b *pgx.Batch, outcome *error) {
		queueOne(b, outcome, claimRequest, []any{o.RequestID, o.AccountID, o.Claim, now}, requestFields(r)...)
		b.Queue(noteOpening, o.RequestID, kinds, openers, now).QueryRow(func(row pgx.Row) error {
			return row.Scan(&opened.Accounts, &opened.Browsers)
		})
	})
	if err = found(err); err == nil && r.StateAt(o.At) != authz.Pending {
		err = &contract.StateError{Request: *r}
	}
	if err != nil {
		return contract.Opened{}, err
	}
	return opened, nil
}

const cancelRequest = `UPDATE device_requests SET state = 'denied', account_id = ''
WHERE id = $1 AND state = 'pending' AND expires_at > $2 RETURNING device_code`

// CancelDeviceRequest implements contract.DeviceStore.
func (s *Store) CancelDeviceRequest(ctx context.Context, id string, now time.Time) error {
	return s.decide(ctx, "cancelling a device request", id, cancelRequest, id, kept.Time(now))
}

// The account that decides must have opened the request, or nobody has and $5
// allows that.
const decision = `decided AS (
	UPDATE device_requests SET state = $1, account_id = $2
	WHERE id = $3 AND state = 'pending' AND expires_at > $4 AND (account_id = $2 OR ($5 AND account_id = ''))`

var denyRequest = `
WITH ` + decision + ` RETURNING device_code, client_id
), ` + tell(10, "decided") + `, ` + report("$2", "$4", "$6", "$7::text", "$8", "$9", "decided") + `, forgotten_consents AS (
	DELETE FROM consents USING decided WHERE account_id = $2 AND consents.client_id = decided.client_id
), paused AS (
	` + pauseAgents("$4", "$2") + ` AND id = $24 AND EXISTS (SELECT FROM decided)
)
SELECT device_code FROM decided`

// DenyDeviceRequest implements contract.DeviceStore.
func (s *Store) DenyDeviceRequest(ctx context.Context, d contract.Denial) error {
	if err := contract.Bounded(d.Keep, d.Event.Keep); err != nil {
		return err
	}
	args := andEvent(d.Event, string(authz.Denied), d.AccountID, d.RequestID, kept.Time(d.At), d.Unclaimed, d.Reported, d.Reporter, d.Keep.Most, d.Keep.AtOnce)
	args = append(args, d.Pauses)
	return s.decide(ctx, "denying a device request", d.RequestID, denyRequest, args...)
}

// decide runs a statement that moves a pending request and returns its device
// code, and tells the other servers. Where it moved none, the request says why.
func (s *Store) decide(ctx context.Context, operation, id, statement string, args ...any) error {
	return s.decideAfter(ctx, operation, "", id, statement, args...)
}

// decideAfter is decide for a statement that needs the lock of a key.
func (s *Store) decideAfter(ctx context.Context, operation, key, id, statement string, args ...any) error {
	var what contract.Decided
	err := s.write(ctx, operation, cmp.Or(key, id), func(b *pgx.Batch, outcome *error) {
		if key != "" {
			b.Queue(lockKey, key)
		}
		queueOne(b, outcome, statement, args, toHash{&what.DeviceCode})
	})
	if err = found(err); errors.Is(err, contract.ErrNotFound) {
		return s.whyNot(ctx, requestByID, id)
	}
	if err == nil {
		s.notifier.notify(what)
	}
	return err
}

// whyNot explains why a conditional update of a device request changed nothing.
func (s *Store) whyNot(ctx context.Context, statement string, args ...any) error {
	r, err := s.deviceRequest(ctx, statement, args...)
	if err != nil {
		return err
	}
	return &contract.StateError{Request: r}
}

// What an agent asked for is redeemed while its whole line is alive, and nothing of it paused.
var redeemRequest = `
WITH redeemed AS (
	UPDATE device_requests SET state = 'redeemed'
	WHERE device_code = $1 AND client_id = $2 AND state = 'approved' AND expires_at > $3
		AND (asked = '' OR EXISTS (SELECT FROM grants g WHERE g.id = device_requests.id AND ` + living("$3") + ` AND NOT ` + paused("$3") + `))
	RETURNING id
), used AS (
	UPDATE grants SET last_used_at = $3 FROM redeemed WHERE grants.id = redeemed.id
), issued AS (
	INSERT INTO refresh_tokens (token, grant_id, expires_at, rotated_at, thumbprint)
	SELECT $4::bytea, $5, $6::bigint, 0, $7 FROM redeemed WHERE $4::bytea IS NOT NULL
)
SELECT FROM redeemed`

// RedeemDeviceRequest implements contract.DeviceStore.
func (s *Store) RedeemDeviceRequest(ctx context.Context, r contract.Redemption) error {
	var token []byte
	var grantID, thumbprint string
	var expires int64
	if t := r.RefreshToken; t != nil {
		token, grantID, expires, thumbprint = t.Token[:], t.GrantID, kept.Time(t.ExpiresAt), t.Thumbprint
	}
	err := s.change(ctx, "redeeming a device request", string(r.DeviceCode[:]), redeemRequest, r.DeviceCode[:], r.ClientID, kept.Time(r.At), token, grantID, expires, thumbprint)
	if errors.Is(err, contract.ErrNotFound) {
		return s.whyNotRedeemed(ctx, r.At, s.whyNot(ctx, requestByDeviceCode+` AND client_id = $2`, r.DeviceCode[:], r.ClientID))
	}
	return err
}

// whyNotRedeemed tells what an agent may not redeem from what is in another state. What it may
// again by now was paused.
//
//	contract.ErrPaused, contract.ErrGone
func (s *Store) whyNotRedeemed(ctx context.Context, now time.Time, err error) error {
	var state *contract.StateError
	if !errors.As(err, &state) || state.Request.StateAt(now) != authz.Approved {
		return err
	}
	_, err = s.livingLine(ctx, state.Request.ID, now)
	switch {
	case err == nil:
		return contract.ErrPaused
	case errors.Is(err, contract.ErrNotFound) && notAlive(err):
		return contract.ErrGone
	default:
		return err
	}
}

// countedAtMost is how many rows PendingDeviceRequests looks at, about.
const countedAtMost = 200_000

// Clients that were not asked for are counted together, under no id. Of $3 per
// cent of the table's pages all rows are looked at.
const countPending = `
SELECT CASE WHEN client_id = ANY ($1) THEN client_id ELSE '' END AS client, count(*)
FROM device_requests TABLESAMPLE SYSTEM ($3) WHERE state = 'pending' AND expires_at > $2 GROUP BY client`

// PendingDeviceRequests implements contract.DeviceStore. Of more than countedAtMost
// rows it looks at a random part; what it finds is multiplied.
func (s *Store) PendingDeviceRequests(ctx context.Context, clientIDs []string, now time.Time) (total int, of map[string]int, err error) {
	var counts []count
	var rows float64 // as the last VACUUM or ANALYZE estimated; -1 before
	percent := 100.0
	err = s.transact(ctx, "counting device requests", func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT reltuples FROM pg_class WHERE oid = 'device_requests'::regclass`).Scan(&rows); err != nil {
			return err
		}
		if rows > s.countedAtMost {
			percent = 100 * s.countedAtMost / rows
		}
		found, err := tx.Query(ctx, countPending, clientIDs, kept.Time(now), percent)
		if err != nil {
			return err
		}
		counts, err = pgx.CollectRows(found, scanCount)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	of = map[string]int{}
	for _, c := range counts {
		n := int(float64(c.n) * 100 / percent)
		total += n
		if c.subject != "" {
			of[c.subject] = n
		}
	}
	return total, of, nil
}
