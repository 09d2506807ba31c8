package view

import "countersign.dev/internal/authz/account"

// News is a way that was added of late.
type News struct {
	account.Way
	Message string
	// Remove is where a form takes it out; empty for what a signature takes out, for
	// which the script does Does, by a button with the text Button.
	Remove       string
	Does, Button string
}

// NewsOf are ways that were added, in words.
func NewsOf(ways []account.Way) (views []News) {
	for _, w := range ways {
		v := News{Way: w}
		switch w.Kind {
		case account.WayIdentity:
			v.Message, v.Does, v.Button = "event.identity-linked", "take-out", "account.identity-remove"
		case account.WayPasskey:
			v.Message, v.Remove = "event.passkey-added", "/account/passkeys/"+w.ID+"/remove"
		case account.WayBackup:
			v.Message, v.Does, v.Button = "event.backup-saved", "remove-backup", "account.backup-remove"
		}
		views = append(views, v)
	}
	return views
}
