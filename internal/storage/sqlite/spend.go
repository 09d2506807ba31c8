package sqlite

import (
	"context"
	"errors"

	"zombiezen.com/go/sqlite"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const spendColumns = `id, grant_id, caller, key, body, currency, amount, settled, payee, resource, action, count, reason, permit, state, created_at, expires_at`

// countersColumn is behind them where it is asked for.
const countersColumn = 17

func scanSpend(r *sqlite.Stmt) authz.Spend {
	return authz.Spend{
		ID: r.ColumnText(0), GrantID: r.ColumnText(1), Caller: r.ColumnText(2), Key: r.ColumnText(3), Body: columnHash(r, 4),
		Currency: r.ColumnText(5), Amount: r.ColumnInt64(6), Settled: r.ColumnInt64(7), Payee: r.ColumnText(8),
		Resource: r.ColumnText(9), Action: r.ColumnText(10), Count: r.ColumnInt64(11), Reason: r.ColumnText(12), Permit: r.ColumnBool(13),
		State: authz.SpendState(r.ColumnText(14)), CreatedAt: columnTime(r, 15), ExpiresAt: columnTime(r, 16),
	}
}

// Spend implements contract.SpendStore.
func (s *Store) Spend(ctx context.Context, n contract.Spending) (spend authz.Spend, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		spend = n.Spend
		err := one(c, func(r *sqlite.Stmt) { spend = scanSpend(r) },
			`SELECT `+spendColumns+` FROM spends WHERE grant_id = ? AND caller = ? AND key = ?`, n.Spend.GrantID, n.Spend.Caller, n.Spend.Key)
		if err == nil {
			return contract.ErrExists
		}
		if !errors.Is(err, contract.ErrNotFound) {
			return err
		}
		g, err := livingLine(c, n.Spend.GrantID, n.Spend.CreatedAt)
		if err != nil {
			return err
		}
		for i, counter := range append(n.Counters[:len(n.Counters):len(n.Counters)], spendsOf(n)) {
			if counter.Until.IsZero() {
				counter.Until = g.ExpiresAt
			}
			used, err := count(c, counter)
			if err != nil {
				return err
			}
			if used >= 0 && i == len(n.Counters) {
				return contract.ErrFull
			}
			if used >= 0 {
				return &contract.LimitError{Index: i, Counted: used}
			}
		}
		p := n.Spend
		_, err = exec(c, `INSERT INTO spends (`+spendColumns+`, counters, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.ID, p.GrantID, p.Caller, p.Key, p.Body, p.Currency, p.Amount, p.Settled, p.Payee, p.Resource, p.Action, p.Count, p.Reason, p.Permit,
			string(p.State), p.CreatedAt, p.ExpiresAt, kept.Counters(n.Counters), g.ExpiresAt)
		return err
	})
	if err != nil && !errors.Is(err, contract.ErrExists) {
		return authz.Spend{}, wrap("storing a spend", err)
	}
	return spend, err
}

// spendsOf counts the spends of a grant.
func spendsOf(n contract.Spending) contract.Counter {
	return contract.Counter{GrantID: n.Spend.GrantID, Add: 1, Most: int64(n.Most)}
}

// count adds to a counter and returns -1, or what it has counted where that leaves too little.
func count(c *sqlite.Conn, counter contract.Counter) (used int64, err error) {
	n, err := exec(c, `INSERT INTO spend_counters (grant_id, name, used, until) SELECT ?1, ?2, ?3, ?4 WHERE ?3 <= ?5
		ON CONFLICT (grant_id, name) DO UPDATE SET used = used + ?3 WHERE used + ?3 <= ?5`,
		counter.GrantID, counter.Name, counter.Add, counter.Until, counter.Most)
	if err != nil || n == 1 {
		return -1, err
	}
	return counted(c, counter)
}

func counted(c *sqlite.Conn, counter contract.Counter) (used int64, err error) {
	_, err = query(c, func(r *sqlite.Stmt) { used = r.ColumnInt64(0) },
		`SELECT used FROM spend_counters WHERE grant_id = ? AND name = ?`, counter.GrantID, counter.Name)
	return used, err
}

// CloseSpend implements contract.SpendStore.
func (s *Store) CloseSpend(ctx context.Context, n contract.Closing) (spend authz.Spend, err error) {
	err = s.writer.do(ctx, several, func(c *sqlite.Conn) error {
		var counters string
		err := one(c, func(r *sqlite.Stmt) { spend, counters = scanSpend(r), r.ColumnText(countersColumn) },
			`SELECT `+spendColumns+`, counters FROM spends WHERE id = ?`, n.ID)
		if err != nil {
			return err
		}
		back, err := kept.Close(&spend, counters, n)
		if err != nil {
			return err
		}
		if _, err := exec(c, `UPDATE spends SET state = ?, settled = ? WHERE id = ?`, string(spend.State), spend.Settled, n.ID); err != nil {
			return err
		}
		for _, b := range back {
			if _, err := exec(c, `UPDATE spend_counters SET used = used - ? WHERE grant_id = ? AND name = ?`, b.Add, b.GrantID, b.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return authz.Spend{}, wrap("closing a spend", err)
	}
	return spend, nil
}

// SpendByID implements contract.SpendStore.
func (s *Store) SpendByID(ctx context.Context, id string) (spend authz.Spend, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		return one(c, func(r *sqlite.Stmt) { spend = scanSpend(r) }, `SELECT `+spendColumns+` FROM spends WHERE id = ?`, id)
	})
	return spend, wrap("reading a spend", err)
}

// Spends implements contract.SpendStore.
func (s *Store) Spends(ctx context.Context, grantID string, after contract.Position, limit int) (all []authz.Spend, err error) {
	err = s.read(ctx, func(c *sqlite.Conn) error {
		_, err := query(c, func(r *sqlite.Stmt) { all = append(all, scanSpend(r)) },
			`SELECT `+spendColumns+` FROM spends WHERE grant_id = ?1 AND created_at <= ?2 AND (created_at < ?2 OR id > ?3) ORDER BY created_at DESC, id LIMIT ?4`,
			grantID, kept.UpTo(after), after.ID, limit)
		return err
	})
	return all, wrap("listing spends", err)
}

// Counted implements contract.SpendStore.
func (s *Store) Counted(ctx context.Context, counters []contract.Counter) ([]int64, error) {
	all := make([]int64, len(counters))
	err := s.read(ctx, func(c *sqlite.Conn) (err error) {
		for i, counter := range counters {
			if all[i], err = counted(c, counter); err != nil {
				return err
			}
		}
		return nil
	})
	return all, wrap("reading what was counted", err)
}
