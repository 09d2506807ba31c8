package account

import (
	"context"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/audit"
	"countersign.dev/internal/authz/ciphertext"
	"countersign.dev/internal/authz/contract"
)

// SaveBackup keeps an encrypted backup of one of the owner's identities, by default the
// one that acts, byte for byte (attack B-29) in place of the one that was kept before.
//
// The request must be signed: what is given out later is not put in by a session
// alone.
//
//	VouchRequired: a session asks
//	InvalidRequest: it is not an encrypted backup, or too large
//	NotFound: the account has no such identity
func (s *Accounts) SaveBackup(ctx context.Context, owner authz.Owner, bapID, text string) (authz.Backup, error) {
	if !owner.Signed() {
		return authz.Backup{}, errOnlySigned
	}
	text = strings.TrimSpace(text)
	if reason := ciphertext.Refusal(text); reason != "" {
		return authz.Backup{}, authz.Refuse(authz.InvalidRequest, reason)
	}
	identity, err := s.Identity(ctx, owner, ownIfEmpty(owner, bapID))
	if err != nil {
		return authz.Backup{}, err
	}
	b := authz.Backup{AccountID: owner.AccountID, BAPID: identity.BAPID, Text: text, Size: len(text), UpdatedAt: s.now(), Network: owner.Seen.Clean().Network}
	event, err := s.NewWayEvent(ctx, owner, authz.EventBackupSaved, "")
	if err != nil {
		return authz.Backup{}, err
	}
	event.BAPID = b.BAPID
	if err := s.store.SaveBackup(ctx, b, owner.BAPID, event); err != nil {
		return authz.Backup{}, contract.OrNotFound(err, "this account has no such identity")
	}
	s.log.InfoContext(ctx, "backup saved", authz.By(owner), "of", b.BAPID, "bytes", b.Size)
	return b, nil
}

// fetchesRemembered bounds how many lines of fetched backups are kept from being repeated.
const fetchesRemembered = 4096

// Backup returns the backup of one of the owner's identities, by default of the
// one that acts.
//
//	NotFound: none is kept, or the identity is somebody else's
func (s *Accounts) Backup(ctx context.Context, owner authz.Owner, bapID string) (authz.Backup, error) {
	b, err := s.store.Backup(ctx, owner.AccountID, ownIfEmpty(owner, bapID))
	if err != nil {
		return authz.Backup{}, contract.OrNotFound(err, noSuchBackup)
	}
	// To fetch it costs nothing, so a line is kept from being repeated as often.
	fetched, now := owner.AccountID+" "+b.BAPID+" "+owner.Seen.Network, s.now()
	if said, ok := s.fetched.Get(fetched); !ok || now.Before(*said) || !now.Before(said.Add(audit.Period)) {
		s.fetched.Add(fetched, &now)
		s.log.InfoContext(ctx, "backup fetched", authz.By(owner), "of", b.BAPID)
	}
	return b, nil
}

const noSuchBackup = "no backup of such an identity of yours is kept here"

// Backups lists the backups of the owner's account, without their texts.
func (s *Accounts) Backups(ctx context.Context, owner authz.Owner) ([]authz.Backup, error) {
	return s.store.Backups(ctx, owner.AccountID, authz.ListedAtMost)
}

// RemoveBackup deletes the backup of one of the owner's identities, by default of
// the one that acts. It may be the only one there is, and who lost the key gets nothing
// back: so it takes a key (decision 0041).
//
//	VouchRequired: a session asks
//	NotFound: none is kept, or the identity is somebody else's
func (s *Accounts) RemoveBackup(ctx context.Context, owner authz.Owner, bapID string) error {
	if !owner.Signed() {
		return errOnlySigned
	}
	event, err := s.NewWayEvent(ctx, owner, authz.EventBackupRemoved, "")
	if err != nil {
		return err
	}
	event.BAPID = ownIfEmpty(owner, bapID)
	if err := s.store.RemoveBackup(ctx, owner.AccountID, event.BAPID, owner.BAPID, event); err != nil {
		return contract.OrNotFound(err, noSuchBackup)
	}
	s.log.InfoContext(ctx, "backup removed", authz.By(owner), "of", event.BAPID)
	return nil
}

func ownIfEmpty(owner authz.Owner, bapID string) string {
	if bapID == "" {
		return owner.BAPID
	}
	return bapID
}
