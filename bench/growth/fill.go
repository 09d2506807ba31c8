package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// table is what a table is filled with.
type table struct {
	name    string
	columns []string
	rows    int
	// row returns the values of a row, which are used up before the next.
	row func(i int) []any
}

// tables are filled in this order; each is made when its turn comes, because the
// requests' ages are counted from the end.
func (s *stored) tables() []func() table {
	return []func() table{s.accountRows, s.identityRows, s.sessionRows, s.grantRows, s.refreshTokenRows, s.eventRows, s.requestRows}
}

func at(t time.Time) int64 { return t.UnixMilli() }

// byKey orders rows by their random key, as a table that is clustered by it lies
// on disk: rows in another order would be written all over the file.
func byKey(rows []int, key func(i int) []byte) []int {
	type place struct {
		prefix uint64
		row    int
	}
	places := make([]place, len(rows))
	for k, i := range rows {
		places[k] = place{binary.BigEndian.Uint64(key(i)), i}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.prefix, b.prefix) })
	for k, p := range places {
		rows[k] = p.row
	}
	return rows
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func (s *stored) accountTime(a int) time.Time {
	return s.now.Add(-grantsKept - time.Duration(a%90)*day)
}

func (s *stored) accountRows() table {
	order := byKey(numbers(s.accounts()), func(i int) []byte { return []byte(id(ofAccount, i)) })
	return table{
		name: "accounts", columns: []string{"id", "created_at", "disabled"}, rows: len(order),
		row: func(k int) []any {
			a := order[k]
			return []any{id(ofAccount, a), at(s.accountTime(a)), false}
		},
	}
}

func (s *stored) identityRows() table {
	order := byKey(numbers(s.accounts()), func(i int) []byte { return []byte(bapID(i)) })
	return table{
		name: "identities", columns: []string{"bap_id", "account_id", "member_key", "created_at", "profile"}, rows: len(order),
		row: func(k int) []any {
			a := order[k]
			return []any{bapID(a), id(ofAccount, a), memberKey, at(s.accountTime(a)), `{"name":"Ada Lovelace"}`}
		},
	}
}

func (s *stored) sessionTime(a int) time.Time { return s.now.Add(-time.Duration(a%(5*24)) * time.Hour) }

func (s *stored) sessionRows() table {
	order := byKey(numbers(s.accounts()), func(i int) []byte { _, kept := sessionToken(i); return kept })
	return table{
		name: "sessions", rows: len(order),
		columns: []string{"token", "id", "account_id", "bap_id", "member_key", "method", "network", "user_agent", "created_at", "expires_at"},
		row: func(k int) []any {
			a := order[k]
			_, token := sessionToken(a)
			began := s.sessionTime(a)
			return []any{token, id(ofSession, a), id(ofAccount, a), bapID(a), memberKey, "bap", "", agent, at(began), at(began.Add(7 * day))}
		},
	}
}

func (s *stored) grantRows() table {
	return table{
		name: "grants", rows: s.n,
		columns: []string{
			"id", "account_id", "client_id", "scope", "bap_id", "member_key", "acr", "nonce", "auth_time", "created_at", "expires_at",
			"last_used_at", "revoked_at", "receipt", "network", "user_agent", "origin", "device_name", "platform",
		},
		row: func(i int) []any {
			made, owner := s.grantTime(i), s.grantOwner(i)
			expires, revoked := made.Add(180*day), int64(0)
			switch grantFate(i) {
			case grantEnded:
				expires = made.Add(time.Hour)
			case grantRevoked:
				revoked = at(made.Add(time.Hour))
			}
			return []any{
				id(ofGrant, i), id(ofAccount, owner), client, scope, bapID(owner), memberKey, "urn:countersign:acr:session", "",
				at(made), at(made), at(expires), at(made), revoked, "", "198.51.100.0/24", "countersign/1.0 (linux)", "", "build agent 7", "linux",
			}
		},
	}
}

func (s *stored) refreshTokenRows() table {
	order := byKey(s.living(s.n), func(i int) []byte { _, kept := refreshToken(i); return kept })
	return table{
		name: "refresh_tokens", columns: []string{"token", "grant_id", "expires_at", "rotated_at"}, rows: len(order),
		row: func(k int) []any {
			i := order[k]
			_, token := refreshToken(i)
			return []any{token, id(ofGrant, i), at(s.now.Add(day * time.Duration(1+i%29))), int64(0)}
		},
	}
}

// eventRows are an approval for each grant, and after each fourth a sign-in.
func (s *stored) eventRows() table {
	return table{
		name: "events", rows: s.n + s.accounts(),
		columns: []string{"id", "account_id", "at", "kind", "bap_id", "client_id", "grant_id", "acr", "network", "user_agent", "subject"},
		row: func(k int) []any {
			i := min(k*4/5, s.n-1)
			when, owner := s.grantTime(i), s.grantOwner(i)
			if k%5 == 4 {
				owner = k / 5 % s.accounts()
				return []any{id(ofEvent, k), id(ofAccount, owner), at(when), "signed-in", bapID(owner), "", "", "", "", agent, "bap"}
			}
			return []any{
				id(ofEvent, k), id(ofAccount, owner), at(when), "approved", bapID(owner), client, id(ofGrant, i),
				"urn:countersign:acr:session", "198.51.100.0/24", agent, "build agent 7",
			}
		},
	}
}

func (s *stored) requestRows() table {
	s.now = time.Now().Add(time.Duration(s.n) * perRow)
	return table{
		name: "device_requests", rows: s.n,
		columns: []string{
			"id", "device_code", "user_code", "client_id", "scope", "state", "account_id", "created_at", "expires_at", "signed_only",
			"match_number", "nonce", "network", "user_agent", "origin", "device_name", "platform",
		},
		row: func(i int) []any {
			made, state, account := s.now.Add(-s.requestAge(i)), s.requestState(i), ""
			if state != "pending" {
				account = id(ofAccount, below(ofAccount, i, s.accounts()))
			}
			_, code := deviceCode(i)
			_, user := s.userCode(i)
			return []any{
				id(ofRequest, i), bytes.Clone(code), user, client, scope, state, account, at(made), at(made.Add(requestLife)), false,
				int64(0), "", "198.51.100.0/24", "countersign/1.0 (linux)", "", "build agent 7", "linux",
			}
		},
	}
}
