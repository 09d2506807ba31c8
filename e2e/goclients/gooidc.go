package main

import (
	"context"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// goOIDC is coreos/go-oidc with golang.org/x/oauth2, as most Go programs sign people in.
func goOIDC(ctx context.Context) (*signedIn, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	config := oauth2.Config{ClientID: clientID, ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: scopes}
	state, nonce, verifier := text(), text(), oauth2.GenerateVerifier()
	back, err := led(config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		return nil, err
	}
	if q := back.Query(); q.Get("state") != state || q.Get("iss") != issuer {
		return nil, errors.New("came back with " + back.RawQuery)
	}
	token, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, err
	}
	var told signedIn
	verify := func(token *oauth2.Token) (*oidc.IDToken, error) {
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
		if err != nil {
			return nil, err
		}
		if err := id.VerifyAccessToken(token.AccessToken); err != nil { // at_hash
			return nil, err
		}
		return id, id.Claims(&told.IDTokenClaims)
	}
	id, err := verify(token)
	if err != nil {
		return nil, err
	}
	if id.Nonce != nonce {
		return nil, errors.New("the nonce is " + id.Nonce)
	}
	token.Expiry = time.Now().Add(-time.Minute) // so that it is refreshed
	source := config.TokenSource(ctx, token)
	fresh, err := source.Token()
	if err != nil {
		return nil, err
	}
	if fresh.AccessToken == token.AccessToken || fresh.RefreshToken == "" {
		return nil, errors.New("nothing was refreshed")
	}
	if _, err := verify(fresh); err != nil {
		return nil, err
	}
	info, err := provider.UserInfo(ctx, source)
	if err != nil {
		return nil, err
	}
	if err := info.Claims(&told.Claims); err != nil {
		return nil, err
	}
	_, again := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	_, afterwards := provider.UserInfo(ctx, source)
	told.Refused = map[string]string{"the code again": refusal(again), "userinfo": refusal(afterwards)}
	return &told, nil
}
