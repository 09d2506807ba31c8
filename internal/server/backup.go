package server

import (
	"net/http"
	"time"

	"countersign.dev/internal/authz"
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

// saveBackup keeps an identity's encrypted backup.
func (s *Server) saveBackup(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	text, bapID := p.text("encryptedBackup"), p.text("bapId")
	who, err := s.authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	b, err := s.authz.SaveBackup(r.Context(), who, bapID, text)
	if err != nil {
		return err
	}
	b.Text = "" // whoever sent it has it
	return writeJSON(w, struct {
		Success bool `json:"success"`
		backupView
	}{true, newBackupView(b)})
}

// backup gives the owner the encrypted backup of an identity.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	who, err := s.authenticate(r, &params{}, authz.Reads)
	if err != nil {
		return err
	}
	b, err := s.authz.Backup(r.Context(), who, r.URL.Query().Get("bapId"))
	if err != nil {
		return err
	}
	return writeJSON(w, newBackupView(b))
}

// backups lists the encrypted backups of the owner's account.
func (s *Server) backups(r *http.Request, who authz.Owner) (any, error) {
	list, err := s.authz.Backups(r.Context(), who)
	if err != nil {
		return nil, err
	}
	views := make([]backupView, len(list))
	for i, b := range list {
		views[i] = newBackupView(b)
	}
	return map[string]any{"backups": views}, nil
}

// removeBackup deletes an identity's encrypted backup.
func (s *Server) removeBackup(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	bapID := p.text("bapId")
	who, err := s.authenticate(r, p, authz.Stops)
	if err != nil {
		return err
	}
	if err := s.authz.RemoveBackup(r.Context(), who, bapID); err != nil {
		return err
	}
	return writeJSON(w, success{Success: true})
}
