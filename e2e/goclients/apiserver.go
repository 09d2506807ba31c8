package main

import (
	"context"
	"errors"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

// apiServer judges an ID token as a Kubernetes API server does, whose authenticator is
// coreos/go-oidc too: with RS256 alone unless told otherwise, and only if the claim is there
// that names the user.
func apiServer(ctx context.Context) (*signedIn, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	token, err := provider.Verifier(&oidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{oidc.RS256}}).Verify(ctx, os.Getenv("ID_TOKEN"))
	if err != nil {
		return nil, err
	}
	var told signedIn
	if err := token.Claims(&told.IDTokenClaims); err != nil {
		return nil, err
	}
	if name, ok := told.IDTokenClaims[os.Getenv("USERNAME_CLAIM")].(string); !ok || name == "" {
		return nil, errors.New("the token names no user")
	}
	return &told, nil
}
