package client

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// Secrets that this program makes are random, and their SHA-256 tells nobody anything.
// Those that a person chose may be guessed by who reads what is kept of them, so they are
// hashed slowly (requirement R-19).

const (
	// wrongSecretsPerMinute is of one client's wrong secrets: somebody who tries what
	// they have at hand, or machines that restart with an old one.
	wrongSecretsPerMinute = 10
	// slowSecretsPerMinute is of secrets that a network has hashed slowly, whosever they
	// are. A right one is remembered, so that it is hashed once in secretsProved.
	slowSecretsPerMinute = 20
	secretsProved        = 10 * time.Minute
)

// checkSecret authenticates a client by its secret. A client that is not there, and
// a secret that nobody issued, must look like a wrong one (T-16, D-38). An empty one
// in HTTP Basic too: golang.org/x/oauth2 tries that first, and must not have used up a
// poll when it tries again without; it is no guess. Guesses are counted by client and
// network, whatever the client: whoever guesses here locks nobody out elsewhere.
//
//	InvalidClient, Unavailable
func (s *Registry) checkSecret(ctx context.Context, client authz.Client, c Credentials) error {
	counted := guessedAt(c.ClientID)
	if !s.wrongSecrets.Left(counted, c.From, s.now()) {
		return errSecrets
	}
	given := c.Secret.Hash()
	if right := subtle.ConstantTimeCompare(given[:], client.Secret[:]); right == 1 && client.Secret != (authz.Hash{}) {
		return nil
	}
	if c.Secret != "" {
		if right, err := s.isChosen(ctx, client, c, counted); right || err != nil {
			return err
		}
	}
	if client.ID != "" { // it was remembered; one that is not there was looked for
		if _, err := s.store.Client(ctx, c.ClientID); err != nil && !errors.Is(err, contract.ErrNotFound) {
			return err
		}
	}
	return errClientAuth
}

// guessedAt is under which name wrong secrets of a client are counted. There are few
// such names, shared by clients that are there and those that are not: ever new ones,
// which cost nothing, would make the allowance forget those before.
func guessedAt(clientID string) string {
	const names = 1 << 10
	hash := authz.Secret(clientID).Hash()
	return strconv.Itoa(int(binary.BigEndian.Uint16(hash[:])) % names)
}

// isChosen reports whether a secret is the one that a person chose for a client, and
// counts it if it is not. Where any client has such a secret, every wrong one is hashed
// slowly, or the time would tell which do (requirement T-16). One is hashed at a time:
// guesses of any number cost one core and the memory for one. Whether a network has tried
// too often is asked in turn, or of a thousand requests at once none would have been
// counted yet.
//
//	Unavailable
func (s *Registry) isChosen(ctx context.Context, client authz.Client, c Credentials, counted string) (right bool, err error) {
	if client.ChosenSecret == "" && !s.anyChosen.Load() {
		s.wrongSecrets.AllowIn(counted, c.From, s.now())
		return false, nil
	}
	proof := authz.Secret(client.ChosenSecret + "\x00" + c.Secret.Reveal()).Hash()
	if p, ok := s.proved.Get(client.ID); ok && client.ChosenSecret != "" && p.proof == proof && !s.now().Before(p.at) && s.now().Before(p.at.Add(secretsProved)) {
		return true, nil
	}
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if !s.wrongSecrets.Left(counted, c.From, s.now()) || !s.slowSecrets.Allow(c.From, s.now()) {
		return false, errSecrets
	}
	if !matchesChosen(client.ChosenSecret, c.Secret) {
		s.wrongSecrets.AllowIn(counted, c.From, s.now())
		return false, nil
	}
	s.proved.Add(client.ID, &provedSecret{proof, s.now()})
	return true, nil
}

// provedSecret is a client's chosen secret that was hashed slowly and was right: its hash
// together with what is kept of it.
type provedSecret struct {
	proof authz.Hash
	at    time.Time
}

// noteChosen keeps whether any of the clients has a secret that a person chose.
func (s *Registry) noteChosen(stored []authz.Client) {
	chosen := func(c authz.Client) bool { return c.ChosenSecret != "" }
	any := slices.ContainsFunc(stored, chosen)
	for _, c := range s.configured {
		any = any || chosen(c)
	}
	s.anyChosen.Store(any)
}

// The work of one hash, about 30 ms and 9 MiB: of the choices that OWASP's cheat sheet
// for the storage of passwords has, one with little memory, which a request can ask for.
const (
	argonPasses  = 4
	argonMemory  = 9 << 10 // KiB
	argonThreads = 1
	argonSalt    = 16
	argonHash    = 32
)

// argonPrefix begins what is kept of a chosen secret, in the form of the password hashing
// competition: who changes the work changes it, and reads both.
var argonPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonPasses, argonThreads)

// hashChosen is what is kept of a secret that a person chose.
func hashChosen(secret string, random io.Reader) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", err
	}
	return argonPrefix + encodeArgon(salt) + "$" + encodeArgon(slowHash(secret, salt)), nil
}

// matchesChosen compares a secret with what is kept of one. It takes as long where
// nothing is kept.
func matchesChosen(kept string, given authz.Secret) bool {
	rest, ours := strings.CutPrefix(kept, argonPrefix)
	salt, hash, _ := strings.Cut(rest, "$")
	right := encodeArgon(slowHash(given.Reveal(), decodeArgon(salt)))
	return subtle.ConstantTimeCompare([]byte(right), []byte(hash)) == 1 && ours
}

func slowHash(secret string, salt []byte) []byte {
	return argon2.IDKey([]byte(secret), salt, argonPasses, argonMemory, argonThreads, argonHash)
}

func encodeArgon(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

func decodeArgon(text string) []byte {
	b, _ := base64.RawStdEncoding.DecodeString(text) // what cannot be read is the salt of nothing
	return b
}

var errSecrets = authz.Refuse(authz.Unavailable, "too many wrong secrets of this client come from this network: try again in a minute with the right one")

var errClientAuth = authz.Refuse(authz.InvalidClient,
	"client authentication failed: check the client id and its secret (HTTP Basic or client_secret in the body)")
