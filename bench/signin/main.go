// Signin makes a throw-away identity, signs in with it and prints what a load
// needs of it.
//
//	signin -base http://127.0.0.1:8628          # the Cookie header of the session
//	signin -base http://127.0.0.1:8628 -token   # an access token got through the device flow
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"countersign.dev/bench/internal/trial"
)

func main() {
	base := flag.String("base", "http://127.0.0.1:8628", "server origin")
	token := flag.Bool("token", false, "print an access token instead of the cookie")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	d := trial.Device{Base: *base, HTTP: trial.NewHTTP(1)}
	session, err := d.SignIn(ctx)
	text := trial.SessionCookie + "=" + session
	if err == nil && *token {
		text, err = accessToken(ctx, d, session)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "signin:", err)
		os.Exit(1)
	}
	fmt.Println(text)
}

// accessToken goes through the device flow, approved by the session.
func accessToken(ctx context.Context, d trial.Device, session string) (string, error) {
	codes, err := d.Code(ctx)
	if err != nil {
		return "", err
	}
	if err := d.Open(ctx, codes.UserCode, session); err != nil {
		return "", err
	}
	if err := d.Approve(ctx, codes.UserCode, session); err != nil {
		return "", err
	}
	tokens, err := d.Token(ctx, codes.DeviceCode, 0)
	return tokens.AccessToken, err
}
