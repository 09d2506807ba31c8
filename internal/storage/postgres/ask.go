package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// What there is of a line counts where it is pending, and where it came lately. Those of one line
// take turns.
const askOnTop = `
WITH room AS (
	SELECT count(*) FILTER (WHERE a.expires_at > $8 AND EXISTS (SELECT FROM device_requests d WHERE d.seq = a.request AND d.state = 'pending')) < $24
		AND count(*) FILTER (WHERE a.created_at > $25) < $26 AS enough
	FROM asks a WHERE a.line = $23
), stored AS (
	INSERT INTO device_requests (` + requestColumns + `)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8::bigint, $9::bigint, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22 FROM room WHERE enough
	ON CONFLICT DO NOTHING RETURNING seq
), noted AS (
	INSERT INTO asks (request, account_id, line, created_at, expires_at) SELECT seq, $7, $23, $8, $9 FROM stored
)
SELECT EXISTS (SELECT FROM stored), enough FROM room`

// AskOnTop implements contract.AskStore.
func (s *Store) AskOnTop(ctx context.Context, r authz.DeviceRequest, room contract.AskRoom) error {
	args := append(requestArgs(r), r.Asked.Line, room.Pending, kept.Time(room.Since), room.Daily)
	var stored, enough bool
	key := "asks of " + r.Asked.Line
	err := s.write(ctx, "storing what an agent asks", key, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockKey, key)
		queueOne(b, outcome, askOnTop, args, &stored, &enough)
	})
	switch {
	case err != nil || stored:
		return err
	case !enough:
		return contract.ErrFull
	default:
		return contract.ErrExists
	}
}

// Requests implements contract.AskStore.
func (s *Store) Requests(ctx context.Context, accountID string, now time.Time, limit int) ([]authz.DeviceRequest, error) {
	return list(ctx, s, "listing what agents ask", func(row pgx.CollectableRow) (r authz.DeviceRequest, err error) {
		err = row.Scan(requestFields(&r)...)
		return r, err
	}, `SELECT `+requestColumns+` FROM device_requests WHERE state = 'pending' AND account_id = $1 AND expires_at > $2
		AND seq = ANY (ARRAY (SELECT request FROM asks WHERE account_id = $1)) ORDER BY created_at, seq LIMIT $3`, accountID, kept.Time(now), limit)
}

// Who asks about a request locks it before, so that each sees what the other asked.
const (
	lockRequest = `SELECT FROM device_requests WHERE id = $1 FOR NO KEY UPDATE`
	askQuestion = `
WITH about AS (
	SELECT device_code FROM device_requests WHERE id = $2 AND state = 'pending' AND expires_at > $4 AND account_id = $5
), there AS (
	SELECT count(*) FILTER (WHERE answered_at = 0) > 0 AS waiting, count(*) >= $6 AS enough FROM questions WHERE request_id = $2
), asked AS (
	INSERT INTO questions (id, request_id, question, asked_at, answer, answered_at)
	SELECT $1, $2, $3, $4::bigint, '', 0 FROM about, there WHERE NOT waiting AND NOT enough
)
SELECT device_code, waiting, enough FROM about, there`
)

// AskQuestion implements contract.AskStore.
func (s *Store) AskQuestion(ctx context.Context, accountID string, q authz.Question, most int) error {
	var what contract.Decided
	var waiting, enough bool
	err := s.write(ctx, "asking an agent", q.RequestID, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockRequest, q.RequestID)
		queueOne(b, outcome, askQuestion, []any{q.ID, q.RequestID, q.Question, kept.Time(q.AskedAt), accountID, most}, toHash{&what.DeviceCode}, &waiting, &enough)
	})
	switch err = found(err); {
	case errors.Is(err, contract.ErrNotFound):
		return s.whyNot(ctx, requestByID, q.RequestID)
	case err != nil:
		return err
	case waiting:
		return contract.ErrExists
	case enough:
		return contract.ErrFull
	}
	s.notifier.notify(what)
	return nil
}

const answerQuestion = `
WITH known AS (
	SELECT id, answered_at FROM questions WHERE id = $1 AND request_id = $2 FOR NO KEY UPDATE
), answered AS (
	UPDATE questions SET answer = $3, answered_at = $4 FROM known WHERE questions.id = known.id AND known.answered_at = 0
)
SELECT answered_at > 0 FROM known`

// AnswerQuestion implements contract.AskStore.
func (s *Store) AnswerQuestion(ctx context.Context, q authz.Question) error {
	var before bool
	err := s.changeOne(ctx, "answering an owner", q.RequestID, answerQuestion, []any{q.ID, q.RequestID, q.Answer, kept.Time(q.AnsweredAt)}, &before)
	if before {
		err = cmp.Or(err, contract.ErrExists)
	}
	return err
}

// Questions implements contract.AskStore.
func (s *Store) Questions(ctx context.Context, requestID string) ([]authz.Question, error) {
	return list(ctx, s, "reading questions", func(row pgx.CollectableRow) (authz.Question, error) {
		q := authz.Question{RequestID: requestID}
		err := row.Scan(&q.ID, &q.Question, toTime{&q.AskedAt}, &q.Answer, toTime{&q.AnsweredAt})
		return q, err
	}, `SELECT id, question, asked_at, answer, answered_at FROM questions WHERE request_id = $1 ORDER BY asked_at, id`, requestID)
}
