package passkey

import (
	"testing"

	"countersign.dev/internal/authz"
)

// keptCredential is a credential record as databases have it. The library gives its
// members their names: a version of it that names one differently must not come in
// unnoticed, or passkeys would lose their keys.
const keptCredential = `{"id":"YW4gaWQ=","publicKey":"YSBrZXk=","attestationType":"none","attestationFormat":"none",` +
	`"transport":["internal","hybrid"],"flags":{"userPresent":true,"userVerified":true,"backupEligible":true,"backupState":true},` +
	`"authenticator":{"AAGUID":"MDEyMzQ1Njc4OWFiY2RlZg==","signCount":7,"cloneWarning":true,"attachment":"platform"},` +
	`"attestation":{},"extensions":{"rk":true}}`

func TestACredentialRecordIsReadAndWrittenAsItIsKept(t *testing.T) {
	record, err := recordOf(authz.Passkey{Credential: []byte(keptCredential)})
	if err != nil {
		t.Fatal(err)
	}
	if string(record.ID) != "an id" || string(record.PublicKey) != "a key" || record.Authenticator.SignCount != 7 || !record.Flags.BackupEligible {
		t.Errorf("read as %+v", record)
	}
	record.Attestation.Object = []byte("names the device")
	again, err := credentialRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != keptCredential {
		t.Errorf("written as %s", again)
	}
}
