package authz

import "context"

// Grants returns what the owner allowed, newest first, dead or alive.
func (s *Service) Grants(ctx context.Context, owner Owner) ([]Grant, error) {
	return s.store.Grants(ctx, owner.AccountID)
}

// Grant returns one of the owner's grants.
//
//	NotFound: there is none with this id, or it is somebody else's
func (s *Service) Grant(ctx context.Context, owner Owner, id string) (Grant, error) {
	g, err := s.store.Grant(ctx, id)
	if err != nil {
		return Grant{}, notFound(err, noSuchGrant)
	}
	if g.AccountID != owner.AccountID {
		return Grant{}, refuse(NotFound, noSuchGrant)
	}
	return g, nil
}

const noSuchGrant = "you have no such grant"

// RevokeGrant takes back what the owner allowed: every token of the grant is
// refused from now on. Revoking twice is no error.
//
//	NotFound
func (s *Service) RevokeGrant(ctx context.Context, owner Owner, id string) error {
	if _, err := s.Grant(ctx, owner, id); err != nil {
		return err
	}
	if err := s.store.RevokeGrant(ctx, id, s.now()); err != nil {
		return err
	}
	s.log.Info("grant revoked by its owner", "grant", id, "account", owner.AccountID)
	return nil
}

// Receipt returns the owner's signature over an approval, as it was given.
//
//	NotFound: no such grant, somebody else's, or approved without a signature
func (s *Service) Receipt(ctx context.Context, owner Owner, grantID string) (string, error) {
	if _, err := s.Grant(ctx, owner, grantID); err != nil {
		return "", err
	}
	text, err := s.store.Receipt(ctx, grantID)
	if err != nil {
		return "", notFound(err, "this grant was approved by a session, without a signature, so it has no receipt")
	}
	return text, nil
}
