package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
	"countersign.dev/internal/storage/kept"
)

// few is how many of anything are kept here.
var few = contract.KeepAtMost(10)

// behind begins an operation and commits tx, as soon as the operation waits for it;
// one that does not wait has its outcome before.
func behind(t *testing.T, s *Store, tx pgx.Tx, operation func() error, meanwhile ...func()) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- operation() }()
	for waits := false; !waits; {
		select {
		case err := <-done:
			return err
		default:
		}
		if err := s.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	for _, do := range meanwhile {
		do()
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return <-done
}

func TestWhoCountsGuessesHoldsNothingWhileItWaitsForTheSite(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	count := func(network string) {
		if _, err := tx.Exec(ctx, countGuesses, []string{network, "site"}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '50ms'`); err != nil { // before the other gives up
		t.Fatal(err)
	}
	count("a")
	err = behind(t, s, tx, func() error { return s.CountGuesses(ctx, []string{"b", "site"}, time.UnixMilli(0)) }, func() { count("b") })
	if err != nil {
		t.Error(err)
	}
}

func TestABackupWhoseSignerIsRemovedMeanwhileIsLeftAsItIs(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	if err := s.CreateAccount(ctx, authz.Account{ID: "alice", CreatedAt: now}, authz.Identity{BAPID: "m", AccountID: "alice", CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	kept := authz.Backup{AccountID: "alice", BAPID: "m", Text: "kept"}
	if err := s.SaveBackup(ctx, kept, "m", contract.NewEvent{Keep: few}); err != nil {
		t.Fatal(err)
	}
	for what, act := range map[string]func(signer string) error{
		"saved": func(signer string) error {
			return s.SaveBackup(ctx, authz.Backup{AccountID: "alice", BAPID: "m", Text: "another"}, signer, contract.NewEvent{Keep: few})
		},
		"removed": func(signer string) error {
			return s.RemoveBackup(ctx, "alice", "m", signer, contract.NewEvent{Keep: few})
		},
	} {
		for _, signer := range []string{"a", "z"} { // before and after it, in the order of locks
			if err := s.LinkIdentity(ctx, authz.Identity{BAPID: signer, AccountID: "alice", CreatedAt: now}, "m", 10, contract.NewEvent{Keep: few}); err != nil {
				t.Fatal(err)
			}
			tx, err := s.pool.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := tx.Exec(ctx, `DELETE FROM identities WHERE bap_id = $1`, signer); err != nil {
				t.Fatal(err)
			}
			if err := behind(t, s, tx, func() error { return act(signer) }); !errors.Is(err, contract.ErrNotFound) {
				t.Errorf("%s as %s: %v", what, signer, err)
			}
			if got, err := s.Backup(ctx, "alice", "m"); err != nil || got.Text != kept.Text {
				t.Errorf("it was %s as %s: %v", what, signer, err)
			}
		}
	}
}

func TestAPasskeyThatIsAddedMeanwhileIsCounted(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	if err := s.CreateAccount(ctx, authz.Account{ID: "alice", CreatedAt: now}, authz.Identity{BAPID: "a", AccountID: "alice", CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	for _, statement := range []string{
		lockAccount,
		`INSERT INTO passkeys (` + passkeyColumns + `) VALUES ('first', $1, '', '', '', 0, 0, 0, '', '', '')`,
	} {
		if _, err := tx.Exec(ctx, statement, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	err = behind(t, s, tx, func() error {
		return s.AddPasskey(ctx, authz.Passkey{ID: "second", AccountID: "alice", BAPID: "a", CreatedAt: now, Credential: []byte("{}")}, 1, contract.NewEvent{Keep: few, Event: authz.Event{ID: "e", AccountID: "alice", At: now}})
	})
	if !errors.Is(err, contract.ErrFull) {
		t.Errorf("got %v", err)
	}
}

// The second of two rotations waits for the first, and then must not go on with
// what it had seen before.
func TestARotationThatWaitedForAnotherFindsTheTokenRotated(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	token, first, second := authz.Hash{1}, authz.Hash{2}, authz.Hash{3}
	args := grantArgs(authz.Grant{ID: "grant", ExpiresAt: now.Add(time.Hour)})
	places := make([]string, len(args))
	for i := range args {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	if _, err := s.pool.Exec(ctx, `INSERT INTO grants (`+grantColumns+`, receipt) VALUES (`+strings.Join(places, ", ")+`, '')`, args...); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(ctx, `INSERT INTO refresh_tokens (token, grant_id, expires_at, rotated_at) VALUES ($1, 'grant', $2, 0)`,
		token[:], kept.Time(now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(ctx, rotateRefreshToken, token[:], first[:], kept.Time(now), kept.Time(now.Add(time.Hour)), nil, ""); err != nil {
		t.Fatal(err)
	}
	err = behind(t, s, tx, func() error {
		return s.RotateRefreshToken(ctx, contract.Rotation{
			Token: token, Successor: authz.RefreshToken{Token: second, ExpiresAt: now.Add(time.Hour)}, At: now,
			Reuse: contract.NewEvent{Keep: few},
		})
	})
	if !errors.Is(err, contract.ErrReused) {
		t.Errorf("got %v", err)
	}
	if _, err := s.RefreshToken(ctx, second, now); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("the token has two successors: %v", err)
	}
}

// Whoever keeps a transaction open would otherwise stop everybody.
func TestWhoChangesTheirAccountWaitsForNoOther(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now()
	join := func(who string) {
		t.Helper()
		if err := s.CreateAccount(ctx, authz.Account{ID: who, CreatedAt: now}, authz.Identity{BAPID: who, AccountID: who, CreatedAt: now}); err != nil {
			t.Fatal(err)
		}
	}
	join("bob")
	key := func(id, of string) authz.Passkey {
		return authz.Passkey{ID: id, AccountID: of, BAPID: of, CreatedAt: now, Credential: []byte("{}")}
	}
	request := authz.DeviceRequest{ID: "request", State: authz.Pending, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := errors.Join(s.AddPasskey(ctx, key("bob's", "bob"), 10, contract.NewEvent{Keep: few, Event: authz.Event{ID: "bob's"}}), s.CreateDeviceRequest(ctx, request)); err != nil {
		t.Fatal(err)
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	for _, table := range []string{"accounts", "identities", "passkeys", "events"} {
		if _, err := tx.Exec(ctx, `SELECT FROM `+table+` FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
	}
	join("alice")
	n := 0
	event := func() contract.NewEvent {
		n++
		return contract.NewEvent{Keep: few, Event: authz.Event{ID: fmt.Sprint(n), AccountID: "alice", At: now}}
	}
	session := authz.Session{Token: authz.Hash{1}, ID: "session", AccountID: "alice", BAPID: "alice", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"adding a passkey", func() error { return s.AddPasskey(ctx, key("alice's", "alice"), 10, event()) }},
		{"linking", func() error {
			return s.LinkIdentity(ctx, authz.Identity{BAPID: "second", AccountID: "alice", CreatedAt: now}, "alice", 10, event())
		}},
		{"saving a backup", func() error {
			return s.SaveBackup(ctx, authz.Backup{BAPID: "second", AccountID: "alice", UpdatedAt: now}, "alice", event())
		}},
		{"signing in", func() error {
			return s.CreateSession(ctx, contract.NewSession{Session: session, Event: event(), Keep: few})
		}},
		{"approving", func() error {
			return s.ApproveDeviceRequest(ctx, contract.Approval{
				RequestID: "request", AccountID: "alice", Unclaimed: true, At: now, Event: event(),
				Grant: authz.Grant{ID: "request", AccountID: "alice", BAPID: "alice", Passkey: "alice's", ExpiresAt: now.Add(time.Hour)},
				Keep:  few, Living: 10,
			})
		}},
		{"removing a passkey", func() error { return s.RemovePasskey(ctx, "alice", "alice's", now, event()) }},
		{"removing an identity", func() error {
			return s.RemoveIdentity(ctx, contract.IdentityRemoval{AccountID: "alice", BAPID: "second", Signer: "alice", At: now, Event: event(), Keep: few})
		}},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
	}
}

// Who is let in by a consent has their grant before all is taken back, and not afterwards.
func TestWhoIsLetInWhileAllIsTakenBackIsFound(t *testing.T) {
	s, ctx := openInside(t), t.Context()
	now := time.Now().Truncate(time.Millisecond)
	if err := s.CreateAccount(ctx, authz.Account{ID: "alice", CreatedAt: now}, authz.Identity{BAPID: "a", AccountID: "alice", CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	approval := func(id string) contract.Approval {
		r := authz.DeviceRequest{ID: id, DeviceCode: authz.Secret(id).Hash(), UserCode: authz.Secret(id + " code").Hash(), ClientID: "app", State: authz.Pending, AccountID: "alice", ExpiresAt: now.Add(time.Hour)}
		if err := s.CreateDeviceRequest(ctx, r); err != nil {
			t.Fatal(err)
		}
		return contract.Approval{
			RequestID: id, AccountID: "alice", At: now, Living: 10, Keep: few, Event: contract.NewEvent{Keep: few, Event: authz.Event{ID: id, AccountID: "alice", At: now}},
			Grant: authz.Grant{ID: id, AccountID: "alice", ClientID: "app", BAPID: "a", CreatedAt: now, ExpiresAt: now.Add(time.Hour)},
		}
	}
	for what, takeBack := range map[string]func() error{
		"by the owner": func() error {
			_, err := s.RevokeGrants(ctx, "alice", now, contract.NewEvent{Keep: few, Event: authz.Event{ID: "e", AccountID: "alice", At: now}})
			return err
		},
		"with the client": func() error { return s.RemoveClient(ctx, "app", now) },
	} {
		if err := s.AddClient(ctx, authz.Client{ID: "app"}); err != nil && !errors.Is(err, contract.ErrExists) {
			t.Fatal(err)
		}
		asked := approval("asked " + what)
		asked.Consent = &authz.Consent{AccountID: "alice", ClientID: "app", BAPID: "a", GrantID: asked.Grant.ID, GivenAt: now, ExpiresAt: now.Add(time.Hour)}
		asked.ConsentsKeep = few
		if err := s.ApproveDeviceRequest(ctx, asked); err != nil {
			t.Fatal(err)
		}
		let := approval("let in " + what)
		let.Grant.ACR, let.LetIn = authz.ACRBefore, &contract.LettingIn{By: asked.Grant.ID, Unused: now.Add(-time.Minute), Keep: few}
		statement, args, err := approvalArgs(let)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := s.pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.Background()) }()
		if _, err := tx.Exec(ctx, statement, args...); err != nil {
			t.Fatal(err)
		}
		if err := behind(t, s, tx, takeBack); err != nil {
			t.Fatal(err)
		}
		if g, err := s.Grant(ctx, let.Grant.ID); err != nil || g.RevokedAt.IsZero() {
			t.Errorf("taken back %s, who was let in meanwhile has %+v, %v", what, g, err)
		}
	}
}
