// Command goclients is applications as people write them in Go, each with a library that
// others wrote, unmodified. It runs the one that it is told, and tells what it saw as
// e2e/clients does: one JSON object a line. Where it sends its user's browser, it reads from
// its standard input the address that the browser came back to.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
)

var (
	issuer   = os.Getenv("COUNTERSIGN_SERVER")
	clientID = os.Getenv("CLIENT_ID")
	secret   = os.Getenv("CLIENT_SECRET") // empty for a public client
	keyFile  = os.Getenv("CLIENT_KEY_FILE")
	redirect = os.Getenv("REDIRECT_URI")
	out      = os.Getenv("OUT_URI") // where its user is led when signed out
	scopes   = []string{"openid", "profile", "offline_access"}
)

// signedIn is what an application knows at the end.
type signedIn struct {
	Claims        map[string]any    `json:"claims"`
	IDTokenClaims map[string]any    `json:"id_token_claims"`
	Refused       map[string]string `json:"refused"`
	SignedOut     bool              `json:"signed_out"`
}

var applications = map[string]func(context.Context) (*signedIn, error){
	"go-oidc":        goOIDC,
	"zitadel":        zitadelCode,
	"zitadel-device": zitadelDevice,
	"cap":            hashicorpCap,
	"api-server":     apiServer,
}

func main() {
	told, err := applications[os.Args[1]](context.Background())
	if err != nil {
		tell(map[string]any{"event": "error", "text": err.Error()})
		os.Exit(1)
	}
	tell(struct {
		Event string `json:"event"`
		*signedIn
	}{"done", told})
}

func tell(event any) {
	if err := json.NewEncoder(os.Stdout).Encode(event); err != nil {
		panic(err)
	}
}

// led sends the user's browser somewhere, and returns where it came back to.
func led(to string) (*url.URL, error) {
	tell(map[string]any{"event": "authorize", "url": to})
	lines := bufio.NewScanner(os.Stdin)
	if !lines.Scan() {
		return nil, fmt.Errorf("the browser did not come back: %w", lines.Err())
	}
	return url.Parse(lines.Text())
}

// text is drawn for a state or a nonce.
func text() string { return rand.Text() }

// refusal is what is said of an error, or that there was none.
func refusal(err error) string {
	if err == nil {
		return "nothing"
	}
	return err.Error()
}
