// Signin makes a throw-away identity, signs in with it and prints what a load
// needs of it.
//
//	signin -base http://127.0.0.1:8628          # the Cookie header of the session
//	signin -base http://127.0.0.1:8628 -token   # an access token got through the device flow
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"countersign.dev/bap"
	"countersign.dev/bitcoinauth"
)

func main() {
	base := flag.String("base", "http://127.0.0.1:8628", "server origin")
	token := flag.Bool("token", false, "print an access token instead of the cookie")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cookie, err := signIn(ctx, *base)
	if err == nil && *token {
		cookie, err = accessToken(ctx, *base, cookie)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "signin:", err)
		os.Exit(1)
	}
	fmt.Println(cookie)
}

// signIn returns the Cookie header of a new session.
func signIn(ctx context.Context, base string) (string, error) {
	const path = "/api/auth/sign-in/sigma"
	key, err := bap.NewKey(rand.Reader)
	if err != nil {
		return "", err
	}
	body := []byte("{}")
	token, err := bitcoinauth.Sign(key, bitcoinauth.Signing{Path: path, Body: body, Time: time.Now()})
	if err != nil {
		return "", err
	}
	cookies, err := send(ctx, http.MethodPost, base+path, body, map[string]string{bitcoinauth.Header: token}, nil)
	if err != nil {
		return "", err
	}
	if len(cookies) != 1 {
		return "", fmt.Errorf("%s set %d cookies", path, len(cookies))
	}
	return cookies[0].Name + "=" + cookies[0].Value, nil
}

// accessToken goes through the device flow, approved by the session.
func accessToken(ctx context.Context, base, cookie string) (string, error) {
	ask, err := json.Marshal(map[string]string{"client_id": "bench", "scope": "openid profile"})
	if err != nil {
		return "", err
	}
	var code struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	if _, err := send(ctx, http.MethodPost, base+"/api/auth/device/code", ask, nil, &code); err != nil {
		return "", err
	}
	session := map[string]string{"Cookie": cookie}
	if _, err := send(ctx, http.MethodGet, base+"/api/auth/device?user_code="+url.QueryEscape(code.UserCode), nil, session, nil); err != nil {
		return "", err
	}
	approve, err := json.Marshal(map[string]string{"userCode": code.UserCode})
	if err != nil {
		return "", err
	}
	if _, err := send(ctx, http.MethodPost, base+"/api/auth/device/approve", approve, session, nil); err != nil {
		return "", err
	}
	poll, err := json.Marshal(map[string]string{
		"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": code.DeviceCode, "client_id": "bench",
	})
	if err != nil {
		return "", err
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	_, err = send(ctx, http.MethodPost, base+"/api/auth/device/token", poll, nil, &tokens)
	return tokens.AccessToken, err
}

// send sends JSON, decodes the answer if into is given, and returns the cookies
// that were set. Any status but 200 is an error.
func send(ctx context.Context, method, address string, body []byte, header map[string]string, into any) ([]*http.Cookie, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %.200s", method, address, resp.StatusCode, answer)
	}
	if into == nil {
		return resp.Cookies(), nil
	}
	return resp.Cookies(), json.Unmarshal(answer, into)
}
