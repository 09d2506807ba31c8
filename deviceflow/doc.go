// Package deviceflow is what a device does to get tokens without a browser of its
// own: the OAuth 2.0 Device Authorization Grant (RFC 8628), for any server that
// follows it, and with what Countersign adds (a poll that waits for the owner, a
// number to match).
//
//	config := &deviceflow.Config{ClientID: "my-app", Scopes: []string{"openid", "profile"}, Endpoint: endpoint}
//	request, err := config.Request(ctx)
//	fmt.Println("Open", request.VerificationURI, "and enter", request.UserCode)
//	token, err := config.Wait(ctx, request)
//	who, err := config.UserInfo(ctx, token)
//
// Where the server takes DPoP proofs (RFC 9449), codes and tokens are bound to a key that
// Request makes: keep Config.Key where the token is kept. Config.Client sends such a token to
// APIs, with a proof of each request.
//
// A program that acts for its owner asks as an agent: Config.WithAgent names it and its key,
// Config.WithAuthorizationDetails what it wants to spend and call, AgentOf says what it got.
//
// A server is believed as little as it can be, and understood as well as it can be:
// each request ends by itself whatever the server does, codes and secrets follow no
// redirect to another host, and what is sent with an issued token in an odd way
// never costs the token.
//
// It depends on the packages details and dpop, the standard library and golang.org/x/oauth2. Storing tokens and
// showing codes is the program's business.
package deviceflow
