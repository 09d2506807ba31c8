package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
)

// backup makes a backup of an identity.
func (b *bench) backup(i authz.Identity) authz.Backup {
	text := b.word("ciphertext")
	return authz.Backup{AccountID: i.AccountID, BAPID: i.BAPID, Text: text, Size: len(text), UpdatedAt: at(b.drawn), Network: b.word("network")}
}

// keptBackup ends the test unless a backup is kept as wanted.
func (b *bench) keptBackup(want authz.Backup) {
	b.Helper()
	got, err := b.store.Backup(b.Context(), want.AccountID, want.BAPID)
	b.ok(err)
	b.same(got, want)
}

var backupCases = []testCase{
	{"an identity has one backup, the latest, and its account is told", func(b *bench) {
		a, i := b.account()
		first, second := b.event(a.ID), b.event(a.ID)
		b.ok(b.store.SaveBackup(b.Context(), b.backup(i), i.BAPID, first))
		latest := b.backup(i)
		b.ok(b.store.SaveBackup(b.Context(), latest, i.BAPID, second))
		b.keptBackup(latest)
		b.told(a.ID, second, first)
	}},
	{"backups are kept byte for byte, and survive a restart", func(b *bench) {
		a, first := b.account()
		var want []authz.Backup
		for _, s := range awkward {
			i := b.newIdentity(a.ID)
			b.ok(b.store.LinkIdentity(b.Context(), i, first.BAPID, many, anyEvent))
			kept := b.backup(i)
			kept.Text, kept.Size, kept.Network = s, len(s), s
			b.ok(b.store.SaveBackup(b.Context(), kept, first.BAPID, anyEvent))
			want = append(want, kept)
		}
		b.reopen()
		for _, kept := range want {
			b.keptBackup(kept)
		}
	}},
	{"backups are listed by BAP id, without their texts", func(b *bench) {
		a, i := b.account()
		_, other := b.account()
		b.ok(b.store.SaveBackup(b.Context(), b.backup(other), other.BAPID, anyEvent))
		second := b.newIdentity(a.ID)
		b.ok(b.store.LinkIdentity(b.Context(), second, i.BAPID, many, anyEvent))
		late, early := b.backup(second), b.backup(i)
		late.Text, late.Size = "é", 2
		b.ok(b.store.SaveBackup(b.Context(), late, i.BAPID, anyEvent))
		b.ok(b.store.SaveBackup(b.Context(), early, second.BAPID, anyEvent))
		late.Text, early.Text = "", ""
		want := []authz.Backup{early, late}
		if late.BAPID < early.BAPID {
			want[0], want[1] = late, early
		}
		got, err := b.store.Backups(b.Context(), a.ID, many)
		b.ok(err)
		b.same(got, want)
		none, err := b.store.Backups(b.Context(), "nobody", many)
		b.ok(err)
		b.same(len(none), 0)
	}},
	{"a backup is of an identity of the account", func(b *bench) {
		a, i := b.account()
		_, other := b.account()
		theirs := b.backup(other)
		b.ok(b.store.SaveBackup(b.Context(), theirs, other.BAPID, anyEvent))
		for _, bapID := range []string{other.BAPID, "nobody"} {
			mine := b.backup(i)
			mine.BAPID = bapID
			b.refused(b.store.SaveBackup(b.Context(), mine, i.BAPID, b.event(a.ID)), authz.ErrNotFound)
			_, err := b.store.Backup(b.Context(), a.ID, bapID)
			b.refused(err, authz.ErrNotFound)
			b.refused(b.store.RemoveBackup(b.Context(), a.ID, bapID, i.BAPID, b.event(a.ID)), authz.ErrNotFound)
		}
		b.keptBackup(theirs)
		b.told(a.ID)
	}},
	{"who signs for a backup is of the account still, when it is saved and when it is removed", func(b *bench) {
		a, i := b.account()
		_, stranger := b.account()
		second, gone := b.linked(i), b.linked(i)
		kept := b.backup(i)
		b.ok(b.store.SaveBackup(b.Context(), kept, second.BAPID, anyEvent))
		b.ok(b.store.RemoveIdentity(b.Context(), b.removal(gone, i)))
		before, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		for _, signer := range []string{gone.BAPID, stranger.BAPID, "nobody"} {
			b.refused(b.store.SaveBackup(b.Context(), b.backup(i), signer, b.event(a.ID)), authz.ErrNotFound)
			b.refused(b.store.SaveBackup(b.Context(), b.backup(second), signer, b.event(a.ID)), authz.ErrNotFound)
			b.refused(b.store.RemoveBackup(b.Context(), a.ID, i.BAPID, signer, b.event(a.ID)), authz.ErrNotFound)
		}
		b.keptBackup(kept)
		_, err = b.store.Backup(b.Context(), a.ID, second.BAPID)
		b.refused(err, authz.ErrNotFound)
		after, err := b.store.Events(b.Context(), a.ID, authz.Position{}, 100)
		b.ok(err)
		b.same(after, before)
		b.ok(b.store.RemoveBackup(b.Context(), a.ID, i.BAPID, second.BAPID, anyEvent))
	}},
	{"a backup is removed once, and told of", func(b *bench) {
		a, i := b.account()
		saved := b.event(a.ID)
		b.ok(b.store.SaveBackup(b.Context(), b.backup(i), i.BAPID, saved))
		removed := b.event(a.ID)
		errs := race(8, func(int) error { return b.store.RemoveBackup(b.Context(), a.ID, i.BAPID, i.BAPID, removed) })
		b.count(errs, 1, is(authz.ErrNotFound))
		_, err := b.store.Backup(b.Context(), a.ID, i.BAPID)
		b.refused(err, authz.ErrNotFound)
		b.told(a.ID, removed, saved)
	}},
	{"of concurrent backups of an identity one stays, whole", func(b *bench) {
		a, i := b.account()
		backups := make([]authz.Backup, 16)
		for n := range backups {
			backups[n] = b.backup(i)
		}
		errs := race(len(backups), func(n int) error { return b.store.SaveBackup(b.Context(), backups[n], i.BAPID, anyEvent) })
		b.count(errs, len(errs), func(error) bool { return false })
		got, err := b.store.Backup(b.Context(), a.ID, i.BAPID)
		b.ok(err)
		for _, one := range backups {
			if one.Text == got.Text {
				b.same(got, one)
				return
			}
		}
		b.Fatalf("kept %q, which nobody saved", got.Text)
	}},
	{"backups are not swept", func(b *bench) {
		_, i := b.account()
		kept := b.backup(i)
		b.ok(b.store.SaveBackup(b.Context(), kept, i.BAPID, anyEvent))
		later := at(0).Add(1000 * 24 * time.Hour)
		_, err := b.store.Sweep(b.Context(), authz.SweepTimes{DeviceRequests: later, Grants: later, Events: later, Rest: later}, 100)
		b.ok(err)
		b.keptBackup(kept)
	}},
}
