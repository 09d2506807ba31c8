package api

import (
	"net/http"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
)

// backupView is an encrypted backup as its owner gets it; in lists without the
// text.
type backupView struct {
	EncryptedBackup string    `json:"encryptedBackup,omitempty"`
	BAPID           string    `json:"bapId"`
	UpdatedAt       time.Time `json:"updatedAt"`
	Size            int       `json:"size"`
}

func newBackupView(b authz.Backup) backupView {
	return backupView{EncryptedBackup: b.Text, BAPID: b.BAPID, UpdatedAt: b.UpdatedAt.UTC(), Size: b.Size}
}

// SaveBackup keeps an identity's encrypted backup.
func (a *API) SaveBackup(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	text, bapID := p.Text("encryptedBackup"), p.Text("bapId")
	who, err := a.gate.Authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	b, err := a.issuer.Accounts.SaveBackup(r.Context(), who, bapID, text)
	if err != nil {
		return err
	}
	b.Text = "" // whoever sent it has it
	return wire.WriteJSON(w, struct {
		Success bool `json:"success"`
		backupView
	}{true, newBackupView(b)})
}

// Backup gives the owner the encrypted backup of an identity.
func (a *API) Backup(w http.ResponseWriter, r *http.Request) error {
	who, err := a.gate.Authenticate(r, &wire.Params{}, authz.Reads)
	if err != nil {
		return err
	}
	b, err := a.issuer.Accounts.Backup(r.Context(), who, r.URL.Query().Get("bapId"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, newBackupView(b))
}

// Backups lists the encrypted backups of the owner's account.
func (a *API) Backups(r *http.Request, who authz.Owner) (any, error) {
	list, err := a.issuer.Accounts.Backups(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]backupView, len(list))
	for i, b := range list {
		views[i] = newBackupView(b)
	}
	return map[string]any{"backups": views}, nil
}

// RemoveBackup deletes an identity's encrypted backup.
func (a *API) RemoveBackup(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	bapID := p.Text("bapId")
	who, err := a.gate.Authenticate(r, p, authz.Stops)
	if err != nil {
		return err
	}
	if err := a.issuer.Accounts.RemoveBackup(r.Context(), who, bapID); err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true})
}
