package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

// owner talks to a server as an identity: every request is signed.
type owner struct {
	env      *Env
	home     *home
	server   string
	entry    identityEntry
	identity *bap.Identity
}

// ownerTimeout bounds a request of an owner: none of them waits for anybody.
const ownerTimeout = 30 * time.Second

// ownerFlags say as whom, and at which server, an owner's command acts.
type ownerFlags struct {
	server, identity string
	password         passwordSource
}

func (f *ownerFlags) bind(cmd *cobra.Command) {
	serverFlag(cmd, &f.server)
	identityFlag(cmd, &f.identity)
	passwordFlag(cmd, &f.password)
}

// open chooses server and identity and unlocks the identity.
func (f ownerFlags) open(ctx context.Context, env *Env) (*owner, error) {
	h, err := openHome(env)
	if err != nil {
		return nil, err
	}
	server, err := chooseServer(env, h, f.server)
	if err != nil {
		return nil, err
	}
	e, err := h.identity(f.identity)
	if err != nil {
		return nil, err
	}
	i, err := h.unlock(ctx, env, e, f.password)
	if err != nil {
		return nil, err
	}
	return &owner{env: env, home: h, server: server, entry: e, identity: i}, nil
}

// send signs and sends a request and returns the body of its success. body, when
// not nil, is sent as JSON, exactly as it is signed.
func (c *owner) send(ctx context.Context, method, path string, body any) ([]byte, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return c.sendRaw(ctx, method, path, raw)
}

// sendRaw names the server in what has no body: a signature covers path and body,
// and must be good at no other server.
func (c *owner) sendRaw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	if body == nil {
		before, query, _ := strings.Cut(path, "?")
		named, err := url.ParseQuery(query)
		if err != nil {
			return nil, err
		}
		named.Set("aud", c.server)
		path = before + "?" + named.Encode()
	}
	token, err := bitcoinauth.Sign(c.identity.MemberKey(), bitcoinauth.Signing{Path: path, Body: body, Time: c.env.Now()})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, usage("--server is not a web address")
	}
	req.Header.Set(bitcoinauth.Header, token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	status, answer, err := exchange(req, ownerTimeout)
	if err != nil {
		return nil, serverFailure("asking", c.server, err)
	}
	if status != http.StatusOK {
		return nil, refusal(status, answer)
	}
	return answer, nil
}

// errSilent is not context.DeadlineExceeded: that is the end of --timeout.
var errSilent = errors.New("the server gave no answer in time")

// exchange sends a request and reads the answer, within a time.
func exchange(req *http.Request, within time.Duration) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), within)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil && req.Context().Err() == nil {
			err = errSilent
		}
	}()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = readAll(resp.Body, maxAnswer)
	return resp.StatusCode, body, err
}

// refusal is what a server says no with.
func refusal(status int, body []byte) error {
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		return fail(ExitNetwork, fmt.Sprintf("the server answered %d without saying why", status), nil, "Check that --server names a Countersign server")
	}
	code := ExitRefused
	if e.Error == "expired_token" {
		code = ExitExpired
	}
	what, next, _ := strings.Cut(printable(e.Description), ": ")
	return &Failure{Code: code, What: "the server refused: " + firstText(what, printable(e.Error)), Next: sentence(next), OAuth: printable(e.Error)}
}
