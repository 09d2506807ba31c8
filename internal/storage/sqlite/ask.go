package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// What there is of a line that counts: what is pending, and what came lately.
const asksOfLine = `SELECT
		count(*) FILTER (WHERE a.expires_at > ?2 AND EXISTS (SELECT 1 FROM device_requests d WHERE d.seq = a.request AND d.state = 'pending')),
		count(*) FILTER (WHERE a.created_at > ?3)
	FROM asks a WHERE a.line = ?1`

// AskOnTop implements contract.AskStore.
func (s *Store) AskOnTop(ctx context.Context, r authz.DeviceRequest, room contract.AskRoom) error {
	return wrap("storing what an agent asks", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		var pending, daily int
		err := one(c, func(row *sqlite.Stmt) { pending, daily = row.ColumnInt(0), row.ColumnInt(1) }, asksOfLine, r.Asked.Line, r.CreatedAt, room.Since)
		if err == nil && (pending >= room.Pending || daily >= room.Daily) {
			return contract.ErrFull
		}
		if err != nil {
			return err
		}
		if err := s.storeRequest(c, r); err != nil {
			return err
		}
		_, err = exec(c, `INSERT INTO asks (request, account_id, line, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			c.LastInsertRowID(), r.AccountID, r.Asked.Line, r.CreatedAt, r.ExpiresAt)
		return err
	}))
}

// Requests implements contract.AskStore.
func (s *Store) Requests(ctx context.Context, accountID string, now time.Time, limit int) (all []authz.DeviceRequest, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		var r authz.DeviceRequest
		scan := scanDeviceRequest(&r)
		_, err := query(c, func(row *sqlite.Stmt) {
			scan(row)
			all = append(all, r)
		}, selectDeviceRequest+`state = 'pending' AND account_id = ?1 AND expires_at > ?2 AND seq IN (SELECT request FROM asks WHERE account_id = ?1)
			ORDER BY created_at, seq LIMIT ?3`, accountID, now, limit)
		return err
	})
	return all, wrap("listing what agents ask", err)
}

// AskQuestion implements contract.AskStore.
func (s *Store) AskQuestion(ctx context.Context, accountID string, q authz.Question, most int) error {
	return wrap("asking an agent", s.withRequestID(ctx, q.RequestID, func(c *sqlite.Conn, row int64) error {
		var r authz.DeviceRequest
		if err := one(c, scanDeviceRequest(&r), deviceRequestByID, row, q.RequestID); err != nil {
			return err
		}
		if r.StateAt(q.AskedAt) != authz.Pending || r.AccountID != accountID {
			return &contract.StateError{Request: r}
		}
		var asked, waiting int
		err := one(c, func(r *sqlite.Stmt) { asked, waiting = r.ColumnInt(0), r.ColumnInt(1) },
			`SELECT count(*), count(*) FILTER (WHERE answered_at = 0) FROM questions WHERE request_id = ?`, q.RequestID)
		switch {
		case err != nil:
			return err
		case waiting > 0:
			return contract.ErrExists
		case asked >= most:
			return contract.ErrFull
		}
		_, err = exec(c, `INSERT INTO questions (id, request_id, question, asked_at, answer, answered_at) VALUES (?, ?, ?, ?, ?, ?)`,
			q.ID, q.RequestID, q.Question, q.AskedAt, q.Answer, q.AnsweredAt)
		return err
	}))
}

// AnswerQuestion implements contract.AskStore.
func (s *Store) AnswerQuestion(ctx context.Context, q authz.Question) error {
	return wrap("answering an owner", s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		n, err := exec(c, `UPDATE questions SET answer = ?, answered_at = ? WHERE id = ? AND request_id = ? AND answered_at = 0`, q.Answer, q.AnsweredAt, q.ID, q.RequestID)
		if err != nil || n == 1 {
			return err
		}
		err = one(c, func(*sqlite.Stmt) {}, `SELECT 1 FROM questions WHERE id = ? AND request_id = ?`, q.ID, q.RequestID)
		if err == nil {
			return contract.ErrExists
		}
		return err
	}))
}

// Questions implements contract.AskStore.
func (s *Store) Questions(ctx context.Context, requestID string) (all []authz.Question, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) {
			all = append(all, authz.Question{
				ID: r.ColumnText(0), RequestID: requestID, Question: r.ColumnText(1), AskedAt: columnTime(r, 2), Answer: r.ColumnText(3), AnsweredAt: columnTime(r, 4),
			})
		}, `SELECT id, question, asked_at, answer, answered_at FROM questions WHERE request_id = ? ORDER BY asked_at, id`, requestID)
		return err
	})
	return all, wrap("reading questions", err)
}
