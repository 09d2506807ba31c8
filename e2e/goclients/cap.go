package main

import (
	"context"
	"time"

	"github.com/hashicorp/cap/oidc"
)

// hashicorpCap is hashicorp/cap, with which Vault and Boundary sign people in.
func hashicorpCap(ctx context.Context) (*signedIn, error) {
	config, err := oidc.NewConfig(issuer, clientID, oidc.ClientSecret(secret), []oidc.Alg{oidc.ES256, oidc.EdDSA, oidc.RS256}, []string{redirect})
	if err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(config)
	if err != nil {
		return nil, err
	}
	defer provider.Done()
	verifier, err := oidc.NewCodeVerifier()
	if err != nil {
		return nil, err
	}
	request, err := oidc.NewRequest(2*time.Minute, redirect, oidc.WithPKCE(verifier), oidc.WithScopes(scopes...), oidc.WithMaxAge(3600))
	if err != nil {
		return nil, err
	}
	to, err := provider.AuthURL(ctx, request)
	if err != nil {
		return nil, err
	}
	back, err := led(to)
	if err != nil {
		return nil, err
	}
	// It verifies the ID token: signature, nonce, auth_time, at_hash.
	token, err := provider.Exchange(ctx, request, back.Query().Get("state"), back.Query().Get("code"))
	if err != nil {
		return nil, err
	}
	var told signedIn
	if err := token.IDToken().Claims(&told.IDTokenClaims); err != nil {
		return nil, err
	}
	subject, _ := told.IDTokenClaims["sub"].(string)
	return &told, provider.UserInfo(ctx, token.StaticTokenSource(), subject, &told.Claims)
}
