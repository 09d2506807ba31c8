package server_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/client"
)

const chosenSecret = "correct horse battery staple"

// chosen is a client whose secret a person chose.
func chosen(t *testing.T, id string) *authz.Client {
	t.Helper()
	c, err := client.Registration{ID: id, Secret: chosenSecret}.Client(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestR19_SecretsThatPeopleChoseAreKeptSlowlyAndMadeOnesAreNot(t *testing.T) {
	for _, way := range registrationWays {
		h := newHouse(t)
		h.register(way, "chosen", chosen(t, "chosen"))
		right := url.Values{"client_id": {"chosen"}, "client_secret": {chosenSecret}}
		h.postForm(codePath, right).wantOK()
		h.postForm(codePath, url.Values{}, "Authorization", basic("chosen", chosenSecret)).wantOK()
		h.postForm(codePath, url.Values{"client_id": {"chosen"}, "client_secret": {chosenSecret + "."}}).wantError(http.StatusUnauthorized, "invalid_client")
		h.postForm(codePath, url.Values{"client_id": {"chosen"}}).wantError(http.StatusUnauthorized, "invalid_client")
		h.postForm(codePath, right).wantOK() // a wrong one between does not make it forgotten
		// What is kept is no fast hash, and a secret that was right is not once it is another's.
		other, err := client.Registration{ID: "chosen", Secret: "another secret of theirs"}.Client(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h.register(way, "chosen", &other)
		h.postForm(codePath, right).wantError(http.StatusUnauthorized, "invalid_client")
		right.Set("client_secret", "another secret of theirs")
		h.postForm(codePath, right).wantOK()
	}
}

func TestR19_WhatIsKeptOfASecretThatCannotBeReadIsNobodys(t *testing.T) {
	h := newHouse(t)
	good := chosen(t, "chosen").ChosenSecret
	for _, kept := range []string{"$", "$argon2id$", strings.Replace(good, "t=4", "t=1", 1), good[:len(good)-1], good + "A", strings.Replace(good, "$argon2id", "", 1)} {
		h.register("database", "chosen", &authz.Client{ID: "chosen", ChosenSecret: kept})
		for _, secret := range []string{chosenSecret, ""} {
			h.postForm(codePath, url.Values{}, "Authorization", basic("chosen", secret)).wantError(http.StatusUnauthorized, "invalid_client")
		}
	}
}

// Where a client has a secret that a person chose, a wrong one of any client is hashed
// slowly: each counts against what a network may have hashed. The rest are refused
// without, and who was right a while ago, or has a secret that was made, goes on.
func TestR19_T16_AWrongSecretIsHashedSlowlyWhoeverIsMeantAndSoOftenOnly(t *testing.T) {
	h := newHouse(t)
	h.register("configuration", "chosen", chosen(t, "chosen"))
	ask := func(id, secret string) func() reply {
		return func() reply { return h.postForm(codePath, url.Values{"client_id": {id}, "client_secret": {secret}}) }
	}
	h.sentFrom(here, ask("chosen", chosenSecret)).wantOK()
	guesses, ids := 0, []string{"chosen", "conf-a", "pub-a", "nobody"}
	for ; guesses < 80; guesses++ { // fewer than anybody may make of one client
		r := h.sentFrom(here, ask(ids[guesses%len(ids)], "guess"))
		if r.status == http.StatusTooManyRequests {
			r.wantBusy()
			break
		}
		r.wantError(http.StatusUnauthorized, "invalid_client")
	}
	if guesses != 39 { // two minutes' worth at once, of which the right one was one
		t.Errorf("%d were looked at", guesses)
	}
	h.sentFrom(here, ask("conf-a", "guess")).wantBusy()
	h.sentFrom(here, ask("conf-a", confSecret)).wantOK()   // was made, and costs nothing
	h.sentFrom(here, ask("chosen", chosenSecret)).wantOK() // is remembered
	h.sentFrom(here, ask("chosen", "guess")).wantBusy()    // which is no way to guess
	h.sentFrom(elsewhere, ask("chosen", chosenSecret)).wantOK()
	h.advance(11 * time.Minute)
	h.sentFrom(here, ask("chosen", chosenSecret)).wantOK()
}
