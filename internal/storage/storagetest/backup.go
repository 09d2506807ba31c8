package storagetest

import (
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// backup makes a backup of an identity.
func (f *fixture) backup(i authz.Identity) authz.Backup {
	text := f.word("ciphertext")
	return authz.Backup{AccountID: i.AccountID, BAPID: i.BAPID, Text: text, Size: len(text), UpdatedAt: at(f.drawn), Network: f.word("network")}
}

// keptBackup ends the test unless a backup is kept as wanted.
func (f *fixture) keptBackup(want authz.Backup) {
	f.Helper()
	got, err := f.store.Backup(f.Context(), want.AccountID, want.BAPID)
	f.ok(err)
	f.same(got, want)
}

var backupCases = []testCase{
	{"an identity has one backup, the latest, and its account is told", func(f *fixture) {
		a, i := f.account()
		first, second := f.event(a.ID), f.event(a.ID)
		f.ok(f.store.SaveBackup(f.Context(), f.backup(i), i.BAPID, first))
		latest := f.backup(i)
		f.ok(f.store.SaveBackup(f.Context(), latest, i.BAPID, second))
		f.keptBackup(latest)
		f.told(a.ID, second, first)
	}},
	{"backups are kept byte for byte, and survive a restart", func(f *fixture) {
		a, first := f.account()
		var want []authz.Backup
		for _, s := range awkward {
			i := f.newIdentity(a.ID)
			f.ok(f.store.LinkIdentity(f.Context(), i, first.BAPID, many, anyEvent))
			kept := f.backup(i)
			kept.Text, kept.Size, kept.Network = s, len(s), s
			f.ok(f.store.SaveBackup(f.Context(), kept, first.BAPID, anyEvent))
			want = append(want, kept)
		}
		f.reopen()
		for _, kept := range want {
			f.keptBackup(kept)
		}
	}},
	{"backups are listed by BAP id, without their texts", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		f.ok(f.store.SaveBackup(f.Context(), f.backup(other), other.BAPID, anyEvent))
		second := f.newIdentity(a.ID)
		f.ok(f.store.LinkIdentity(f.Context(), second, i.BAPID, many, anyEvent))
		late, early := f.backup(second), f.backup(i)
		late.Text, late.Size = "é", 2
		f.ok(f.store.SaveBackup(f.Context(), late, i.BAPID, anyEvent))
		f.ok(f.store.SaveBackup(f.Context(), early, second.BAPID, anyEvent))
		late.Text, early.Text = "", ""
		want := []authz.Backup{early, late}
		if late.BAPID < early.BAPID {
			want[0], want[1] = late, early
		}
		got, err := f.store.Backups(f.Context(), a.ID, many)
		f.ok(err)
		f.same(got, want)
		none, err := f.store.Backups(f.Context(), "nobody", many)
		f.ok(err)
		f.same(len(none), 0)
	}},
	{"a backup is of an identity of the account", func(f *fixture) {
		a, i := f.account()
		_, other := f.account()
		theirs := f.backup(other)
		f.ok(f.store.SaveBackup(f.Context(), theirs, other.BAPID, anyEvent))
		for _, bapID := range []string{other.BAPID, "nobody"} {
			mine := f.backup(i)
			mine.BAPID = bapID
			f.refused(f.store.SaveBackup(f.Context(), mine, i.BAPID, f.event(a.ID)), contract.ErrNotFound)
			_, err := f.store.Backup(f.Context(), a.ID, bapID)
			f.refused(err, contract.ErrNotFound)
			f.refused(f.store.RemoveBackup(f.Context(), a.ID, bapID, i.BAPID, f.event(a.ID)), contract.ErrNotFound)
		}
		f.keptBackup(theirs)
		f.told(a.ID)
	}},
	{"who signs for a backup is of the account still, when it is saved and when it is removed", func(f *fixture) {
		a, i := f.account()
		_, stranger := f.account()
		second, gone := f.linked(i), f.linked(i)
		kept := f.backup(i)
		f.ok(f.store.SaveBackup(f.Context(), kept, second.BAPID, anyEvent))
		f.ok(f.store.RemoveIdentity(f.Context(), f.removal(gone, i)))
		before, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
		f.ok(err)
		for _, signer := range []string{gone.BAPID, stranger.BAPID, "nobody"} {
			f.refused(f.store.SaveBackup(f.Context(), f.backup(i), signer, f.event(a.ID)), contract.ErrNotFound)
			f.refused(f.store.SaveBackup(f.Context(), f.backup(second), signer, f.event(a.ID)), contract.ErrNotFound)
			f.refused(f.store.RemoveBackup(f.Context(), a.ID, i.BAPID, signer, f.event(a.ID)), contract.ErrNotFound)
		}
		f.keptBackup(kept)
		_, err = f.store.Backup(f.Context(), a.ID, second.BAPID)
		f.refused(err, contract.ErrNotFound)
		after, err := f.store.Events(f.Context(), a.ID, contract.Position{}, 100)
		f.ok(err)
		f.same(after, before)
		f.ok(f.store.RemoveBackup(f.Context(), a.ID, i.BAPID, second.BAPID, anyEvent))
	}},
	{"a backup is removed once, and told of", func(f *fixture) {
		a, i := f.account()
		saved := f.event(a.ID)
		f.ok(f.store.SaveBackup(f.Context(), f.backup(i), i.BAPID, saved))
		removed := f.event(a.ID)
		errs := race(8, func(int) error { return f.store.RemoveBackup(f.Context(), a.ID, i.BAPID, i.BAPID, removed) })
		f.count(errs, 1, is(contract.ErrNotFound))
		_, err := f.store.Backup(f.Context(), a.ID, i.BAPID)
		f.refused(err, contract.ErrNotFound)
		f.told(a.ID, removed, saved)
	}},
	{"of concurrent backups of an identity one stays, whole", func(f *fixture) {
		a, i := f.account()
		backups := make([]authz.Backup, 16)
		for n := range backups {
			backups[n] = f.backup(i)
		}
		errs := race(len(backups), func(n int) error { return f.store.SaveBackup(f.Context(), backups[n], i.BAPID, anyEvent) })
		f.count(errs, len(errs), func(error) bool { return false })
		got, err := f.store.Backup(f.Context(), a.ID, i.BAPID)
		f.ok(err)
		for _, one := range backups {
			if one.Text == got.Text {
				f.same(got, one)
				return
			}
		}
		f.Fatalf("kept %q, which nobody saved", got.Text)
	}},
	{"backups are not swept", func(f *fixture) {
		_, i := f.account()
		kept := f.backup(i)
		f.ok(f.store.SaveBackup(f.Context(), kept, i.BAPID, anyEvent))
		later := at(0).Add(1000 * 24 * time.Hour)
		_, err := f.store.Sweep(f.Context(), contract.SweepTimes{DeviceRequests: later, Grants: later, Events: later, Rest: later}, 100)
		f.ok(err)
		f.keptBackup(kept)
	}},
}
