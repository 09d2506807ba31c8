package account

import (
	"context"
	"errors"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/proof"
	"countersign.dev/internal/authz/usercode"
)

// ProofPath is the request target that the token of a proof is made for.
const ProofPath = "/device"

// ProveCode returns the asker as one who has proved the code, if a token says that a
// key of the owner's account was at hand when it was typed: an X-Auth-Token over
// ProofPath and the body aud=ISSUER&code=XXXX-XXXX, this server and the code as it is
// shown. It counts once. A token that proves nothing is no error: the person goes on without a proof.
func (s *Accounts) ProveCode(ctx context.Context, owner authz.Owner, asker authz.Asker, token, typed string) (authz.Asker, error) {
	proved, err := s.provesCode(ctx, owner, asker.From, token, typed)
	asker.Proved = proved
	return asker, err
}

func (s *Accounts) provesCode(ctx context.Context, owner authz.Owner, from authz.Source, token, typed string) (bool, error) {
	code, ok := usercode.Parse(typed)
	if !ok || token == "" {
		return false, nil
	}
	v, err := s.proofs.VerifyOnce(ctx, authz.SignedRequest{Token: token, Path: ProofPath, Body: []byte("aud=" + s.settings.Issuer + "&code=" + code), From: from})
	if err != nil {
		if err = proof.Unauthorized(err); errors.Is(err, authz.Unauthorized) {
			return false, nil
		}
		return false, err
	}
	_, err = s.identityOf(ctx, owner, v.PublicKey)
	if errors.Is(err, authz.Forbidden) {
		return false, nil
	}
	return err == nil, err
}
