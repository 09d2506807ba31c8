package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// zitadelParty is a relying party of zitadel/oidc with what its examples turn on.
func zitadelParty(ctx context.Context) (rp.RelyingParty, error) {
	cookies := httphelper.NewCookieHandler([]byte("sixteen bytes ..")[:16], []byte("sixteen bytes ..")[:16], httphelper.WithUnsecure())
	options := []rp.Option{rp.WithPKCE(cookies), rp.WithCookieHandler(cookies), rp.WithSigningAlgsFromDiscovery()}
	if keyFile != "" {
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, err
		}
		options = append(options, rp.WithJWTProfile(rp.SignerFromKeyAndKeyID(key, os.Getenv("CLIENT_KEY_ID"))))
	}
	return rp.NewRelyingPartyOIDC(ctx, issuer, clientID, secret, redirect, scopes, options...)
}

// zitadelCode is its two handlers: what leads a user away, and what receives them.
func zitadelCode(ctx context.Context) (*signedIn, error) {
	party, err := zitadelParty(ctx)
	if err != nil {
		return nil, err
	}
	leaving := httptest.NewRecorder()
	rp.AuthURLHandler(text, party)(leaving, httptest.NewRequest(http.MethodGet, "/login", nil))
	back, err := led(leaving.Result().Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	var told *signedIn
	var tokens *oidc.Tokens[*oidc.IDTokenClaims]
	arrived := func(_ http.ResponseWriter, _ *http.Request, got *oidc.Tokens[*oidc.IDTokenClaims], _ string, _ rp.RelyingParty, info *oidc.UserInfo) {
		tokens, told = got, &signedIn{Claims: info.Claims, IDTokenClaims: got.IDTokenClaims.Claims}
		told.Claims["sub"], told.IDTokenClaims["sub"] = info.Subject, got.IDTokenClaims.Subject
	}
	received := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, back.String(), nil)
	for _, c := range leaving.Result().Cookies() {
		request.AddCookie(c)
	}
	rp.CodeExchangeHandler(rp.UserinfoCallback(arrived), party)(received, request)
	if told == nil {
		return nil, errors.New(received.Body.String())
	}
	return told, zitadelEnd(ctx, party, tokens, tokens.IDTokenClaims.Subject, told)
}

// zitadelDevice is its device flow.
func zitadelDevice(ctx context.Context) (*signedIn, error) {
	party, err := zitadelParty(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := rp.DeviceAuthorization(ctx, scopes, party, nil)
	if err != nil {
		return nil, err
	}
	tell(map[string]any{"event": "code", "user_code": asked.UserCode})
	tokens, err := rp.DeviceAccessToken(ctx, asked.DeviceCode, time.Duration(asked.Interval)*time.Second, party)
	if err != nil {
		return nil, err
	}
	id, err := rp.VerifyTokens[*oidc.IDTokenClaims](ctx, tokens.AccessToken, tokens.IDToken, party.IDTokenVerifier())
	if err != nil {
		return nil, err
	}
	info, err := rp.Userinfo[*oidc.UserInfo](ctx, tokens.AccessToken, tokens.TokenType, id.Subject, party)
	if err != nil {
		return nil, err
	}
	told := &signedIn{Claims: info.Claims, IDTokenClaims: id.Claims}
	told.Claims["sub"], told.IDTokenClaims["sub"] = info.Subject, id.Subject
	return told, zitadelEnd(ctx, party, &oidc.Tokens[*oidc.IDTokenClaims]{Token: &oauth2.Token{RefreshToken: tokens.RefreshToken}, IDToken: tokens.IDToken}, id.Subject, told)
}

// zitadelEnd refreshes, revokes, tries what is over then, and signs its user out.
func zitadelEnd(ctx context.Context, party rp.RelyingParty, tokens *oidc.Tokens[*oidc.IDTokenClaims], subject string, told *signedIn) error {
	fresh, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", "")
	if err != nil {
		return err
	}
	if _, err := rp.Userinfo[*oidc.UserInfo](ctx, fresh.AccessToken, fresh.TokenType, subject, party); err != nil {
		return err
	}
	if err := rp.RevokeToken(ctx, party, fresh.RefreshToken, "refresh_token"); err != nil {
		return err
	}
	_, again := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, fresh.RefreshToken, "", "")
	_, afterwards := rp.Userinfo[*oidc.UserInfo](ctx, fresh.AccessToken, fresh.TokenType, subject, party)
	told.Refused = map[string]string{"refresh": refusal(again), "userinfo": refusal(afterwards)}
	// It asks the endpoint itself where the browser is to go.
	state := text()
	leaving, err := rp.EndSession(ctx, party, tokens.IDToken, out, state, "", nil)
	if err != nil {
		return err
	}
	back, err := led(leaving.String())
	if err != nil {
		return err
	}
	told.SignedOut = back.Query().Get("state") == state
	return nil
}
