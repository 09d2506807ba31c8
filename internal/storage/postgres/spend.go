package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

const spendColumns = `id, grant_id, caller, key, body, currency, amount, settled, payee, resource, action, count, reason, permit, state, created_at, expires_at`

// spendFields are where a row's spendColumns go.
func spendFields(p *authz.Spend) []any {
	return []any{
		&p.ID, &p.GrantID, &p.Caller, &p.Key,
		toHash{&p.Body},
		&p.Currency, &p.Amount, &p.Settled, &p.Payee, &p.Resource, &p.Action, &p.Count, &p.Reason, &p.Permit, (*string)(&p.State),
		toTime{&p.CreatedAt},
		toTime{&p.ExpiresAt},
	}
}

// Those who spend in one line take turns: all counters of a spend are of one, and whoever has
// its turn sees in the statement behind what the others counted.
const lockLine = `SELECT pg_advisory_xact_lock(hashtextextended('spends of ' || line, 0)) FROM grants WHERE id = $1`

// The last counter is of how many spends there are.
var storeSpend = `
WITH line AS (
	SELECT ` + paused("$16") + ` AS paused, g.expires_at AS ends FROM grants g WHERE g.id = $2 AND ` + living("$16") + `
), known AS (
	SELECT FROM spends WHERE grant_id = $2 AND caller = $3 AND key = $4
), wanted AS (
	SELECT grant_id, name, add, most, until, place, COALESCE((SELECT used FROM spend_counters c WHERE c.grant_id = w.grant_id AND c.name = w.name), 0) AS used
	FROM unnest($19::text[], $20::text[], $21::bigint[], $22::bigint[], $23::bigint[]) WITH ORDINALITY AS w (grant_id, name, add, most, until, place)
), short AS (
	SELECT place, used FROM wanted WHERE used + add > most ORDER BY place LIMIT 1
), stored AS (
	INSERT INTO spends (` + spendColumns + `, counters, until)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::bigint, $17, $18, ends FROM line
	WHERE NOT paused AND NOT EXISTS (SELECT FROM known) AND NOT EXISTS (SELECT FROM short) RETURNING until
), added AS (
	INSERT INTO spend_counters (grant_id, name, used, until)
	SELECT grant_id, name, add, CASE WHEN wanted.until = 0 THEN stored.until ELSE wanted.until END FROM wanted, stored
	ON CONFLICT (grant_id, name) DO UPDATE SET used = spend_counters.used + excluded.used
)
SELECT EXISTS (SELECT FROM stored), EXISTS (SELECT FROM known), (SELECT paused FROM line), COALESCE((SELECT place FROM short), 0), COALESCE((SELECT used FROM short), 0)`

func spendArgs(n contract.Spending) []any {
	p := n.Spend
	var grants, names []string
	var add, most, until []int64
	counters := append(n.Counters[:len(n.Counters):len(n.Counters)], contract.Counter{GrantID: p.GrantID, Add: 1, Most: int64(n.Most)})
	for _, c := range counters {
		grants, names = append(grants, c.GrantID), append(names, c.Name)
		add, most, until = append(add, c.Add), append(most, c.Most), append(until, kept.Time(c.Until))
	}
	return []any{
		p.ID, p.GrantID, p.Caller, p.Key, p.Body[:], p.Currency, p.Amount, p.Settled, p.Payee, p.Resource, p.Action, p.Count, p.Reason, p.Permit,
		string(p.State), kept.Time(p.CreatedAt), kept.Time(p.ExpiresAt), kept.Counters(n.Counters), grants, names, add, most, until,
	}
}

// Spend implements contract.SpendStore.
func (s *Store) Spend(ctx context.Context, n contract.Spending) (authz.Spend, error) {
	args := spendArgs(n)
	var stored, known bool
	var line line
	var short int
	var used int64
	err := s.write(ctx, "storing a spend", n.Spend.GrantID, func(b *pgx.Batch, outcome *error) {
		b.Queue(lockLine, n.Spend.GrantID)
		queueOne(b, outcome, storeSpend, args, &stored, &known, &line.paused, &short, &used)
	})
	switch {
	case err != nil:
		return authz.Spend{}, found(err)
	case stored:
		return n.Spend, nil
	case known:
		return s.spendByKey(ctx, n.Spend)
	}
	if err := line.alive(nil); err != nil {
		return authz.Spend{}, err
	}
	if short > len(n.Counters) {
		return authz.Spend{}, contract.ErrFull
	}
	return authz.Spend{}, &contract.LimitError{Index: short - 1, Counted: used}
}

// spendByKey is the spend that was stored before, with contract.ErrExists.
func (s *Store) spendByKey(ctx context.Context, p authz.Spend) (there authz.Spend, err error) {
	err = s.one(ctx, "reading a spend", `SELECT `+spendColumns+` FROM spends WHERE grant_id = $1 AND caller = $2 AND key = $3`,
		[]any{p.GrantID, p.Caller, p.Key}, spendFields(&there)...)
	if err != nil {
		return authz.Spend{}, err
	}
	return there, contract.ErrExists
}

const closeSpend = `UPDATE spends SET state = $2, settled = $3 WHERE id = $1`

// CloseSpend implements contract.SpendStore.
func (s *Store) CloseSpend(ctx context.Context, n contract.Closing) (spend authz.Spend, err error) {
	err = s.transact(ctx, "closing a spend", func(ctx context.Context, tx pgx.Tx) error {
		var counters string
		if isNoText(n.ID) {
			return contract.ErrNotFound
		}
		// As Spend has it: the line before anything of it.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('spends of ' || g.line, 0)) FROM spends p JOIN grants g ON g.id = p.grant_id WHERE p.id = $1`, n.ID); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT `+spendColumns+`, counters FROM spends WHERE id = $1 FOR UPDATE`, n.ID).Scan(append(spendFields(&spend), &counters)...)
		if err = found(err); err != nil {
			return err
		}
		back, err := kept.Close(&spend, counters, n)
		if err != nil {
			return err
		}
		steps := &pgx.Batch{}
		steps.Queue(closeSpend, n.ID, string(spend.State), spend.Settled)
		for _, b := range back {
			steps.Queue(`UPDATE spend_counters SET used = used - $3 WHERE grant_id = $1 AND name = $2`, b.GrantID, b.Name, b.Add)
		}
		return tx.SendBatch(ctx, steps).Close()
	})
	if err != nil {
		return authz.Spend{}, err
	}
	return spend, nil
}

// SpendByID implements contract.SpendStore.
func (s *Store) SpendByID(ctx context.Context, id string) (spend authz.Spend, err error) {
	err = s.one(ctx, "reading a spend", `SELECT `+spendColumns+` FROM spends WHERE id = $1`, []any{id}, spendFields(&spend)...)
	return spend, err
}

// Spends implements contract.SpendStore.
func (s *Store) Spends(ctx context.Context, grantID string, after contract.Position, limit int) ([]authz.Spend, error) {
	return list(ctx, s, "listing spends", func(row pgx.CollectableRow) (p authz.Spend, err error) {
		err = row.Scan(spendFields(&p)...)
		return p, err
	}, `SELECT `+spendColumns+` FROM spends WHERE grant_id = $1 AND created_at <= $2 AND (created_at < $2 OR id > $3) ORDER BY created_at DESC, id LIMIT $4`,
		grantID, kept.UpTo(after), after.ID, limit)
}

// Counted implements contract.SpendStore.
func (s *Store) Counted(ctx context.Context, counters []contract.Counter) ([]int64, error) {
	grants, names := make([]string, len(counters)), make([]string, len(counters))
	for i, c := range counters {
		grants[i], names[i] = c.GrantID, c.Name
	}
	all, err := list(ctx, s, "reading what was counted", pgx.RowTo[int64],
		`SELECT COALESCE((SELECT used FROM spend_counters c WHERE c.grant_id = w.grant_id AND c.name = w.name), 0)
			FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (grant_id, name, place) ORDER BY place`, grants, names)
	if err == nil && len(all) < len(counters) { // one is no text
		return make([]int64, len(counters)), nil
	}
	return all, err
}
