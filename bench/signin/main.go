// Signin makes a throw-away identity, signs in with it and prints an access token
// that it got through the device flow, for a load to use.
//
//	signin -base http://127.0.0.1:8628
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
	client := flag.String("client", "", "client_id (default: one that nobody registered)")
	secret := flag.String("secret", "", "its secret")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	token, err := accessToken(ctx, trial.Device{Base: *base, HTTP: trial.NewHTTP(1), Client: *client, Secret: *secret})
	if err != nil {
		fmt.Fprintln(os.Stderr, "signin:", err)
		os.Exit(1)
	}
	fmt.Println(token)
}

// accessToken goes through the device flow, approved by a session.
func accessToken(ctx context.Context, d trial.Device) (string, error) {
	session, err := d.SignIn(ctx)
	if err != nil {
		return "", err
	}
	tokens, err := d.Granted(ctx, session)
	return tokens.AccessToken, err
}
