package protect

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// How long keys are used. The issuer says it by Cache-Control, within bounds: who names an
// hour or more takes an hour to hear of a key that was withdrawn.
const (
	leastFresh, mostFresh, freshUnlessSaid = time.Minute, time.Hour, 5 * time.Minute
	// pause is between two questions: whoever sends a token with a key id that nobody knows,
	// or while the issuer is away, costs it no question each.
	pause = 10 * time.Second
	// knownAway is for how long a question that had no answer says how it stands.
	knownAway = time.Minute
	// outlive is how long keys go on while the issuer is away. A day of it is noticed;
	// for ever would be a way to have withdrawn keys accepted.
	outlive = 24 * time.Hour
	// maxKeys bounds a key set, in which a server has three or four.
	maxKeys = 64
)

var (
	errUnknownKey = errors.New("no key of the issuer has this id")
	errAway       = errors.New("the issuer's keys could not be read")
)

// key is one that tokens are signed with. Its algorithm is its own, never the token's
// (RFC 8725 §3.1, requirement M-09).
type key struct {
	algorithm jose.SignatureAlgorithm
	public    any
}

// keys are the issuer's, as they were read last.
type keys struct {
	issuer *issuer
	now    func() time.Time
	log    *slog.Logger

	mu         sync.Mutex // guards all below
	known      map[string]key
	endpoint   string // of introspection
	readAt     time.Time
	freshUntil time.Time
	triedAt    time.Time
	failed     bool
	reading    chan struct{} // closed when who reads them now has; nil: nobody does
}

// begin reads the keys for the first time.
func (k *keys) begin(ctx context.Context) error {
	k.triedAt = k.now()
	return k.read(ctx)
}

// find finds the key of an id. Keys that are too old are read again, and so are all for an
// id that is not among them; of many requests that want it one does, and the others wait.
//
//	errUnknownKey
//	errAway: the issuer did not answer, and there is none or it is a day old
func (k *keys) find(ctx context.Context, id string) (key, error) {
	k.mu.Lock()
	now := k.now()
	found, ok := k.known[id]
	if ok && now.Before(k.freshUntil) {
		k.mu.Unlock()
		return found, nil
	}
	// While the issuer is known to be away nobody waits for it who can do without.
	away := ok && k.failed && now.Sub(k.triedAt) < knownAway
	if k.reading == nil && now.Sub(k.triedAt).Abs() >= pause {
		k.triedAt, k.reading = now, make(chan struct{})
		// It is for all who wait: one of them who goes away does not end it. It ends by itself.
		go k.readFor(context.WithoutCancel(ctx), k.reading)
	}
	reading := k.reading
	k.mu.Unlock()
	if reading != nil && !away {
		select {
		case <-reading:
		case <-ctx.Done():
			return key{}, errAway
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok = k.known[id]
	switch {
	case now.Sub(k.readAt) > outlive, !ok && k.failed:
		return key{}, errAway
	case !ok:
		return key{}, errUnknownKey
	default:
		return found, nil
	}
}

func (k *keys) readFor(ctx context.Context, done chan struct{}) {
	if err := k.read(ctx); err != nil {
		k.log.WarnContext(ctx, "the issuer's keys could not be read; those there are go on", "issuer", k.issuer.id, "error", err)
	}
	k.mu.Lock()
	k.reading = nil
	k.mu.Unlock()
	close(done)
}

// read reads metadata and key set. What is no key set leaves the keys as they are.
func (k *keys) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	known, m, fresh, err := k.ask(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed = err != nil; k.failed {
		return err
	}
	now := k.now()
	k.known, k.endpoint, k.readAt, k.freshUntil = known, m.IntrospectionEndpoint, now, now.Add(fresh)
	return nil
}

func (k *keys) ask(ctx context.Context) (known map[string]key, m metadata, fresh time.Duration, err error) {
	if m, err = k.issuer.metadata(ctx); err != nil {
		return nil, m, 0, err
	}
	body, h, err := k.issuer.get(ctx, m.JWKSURI)
	if err != nil {
		return nil, m, 0, err
	}
	if known = parseKeys(body); len(known) == 0 {
		return nil, m, 0, errors.New("the issuer's key set has no key for ES256, RS256 or EdDSA")
	}
	return known, m, freshness(h), nil
}

func (k *keys) introspectionEndpoint() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.endpoint
}

// freshness is how long an answer may be used (RFC 9111 §5.2.2.1), within our bounds.
func freshness(h http.Header) time.Duration {
	fresh := freshUnlessSaid
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return leastFresh
		case "max-age":
			// What is no number is 0, and of what is too much there is the most (RFC 9111 §1.2.2).
			seconds, _ := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			fresh = time.Duration(seconds) * time.Second
		}
	}
	return min(max(fresh, leastFresh), mostFresh)
}

// parseKeys reads the keys of a key set (RFC 7517 §5) that tokens can be signed with here (B-19);
// others are somebody else's.
func parseKeys(body []byte) map[string]key {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || len(set.Keys) > maxKeys {
		return nil
	}
	known := map[string]key{}
	for _, raw := range set.Keys {
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(raw) != nil || jwk.KeyID == "" || (jwk.Use != "" && jwk.Use != "sig") {
			continue
		}
		alg := algorithmOf(jwk.Key)
		if _, twice := known[jwk.KeyID]; twice || alg == "" || (jwk.Algorithm != "" && jwk.Algorithm != string(alg)) {
			continue
		}
		known[jwk.KeyID] = key{alg, jwk.Key}
	}
	return known
}

// algorithmOf is the algorithm that a public key is for, or empty.
func algorithmOf(public any) jose.SignatureAlgorithm {
	const leastRSA = 2048 // the library reads none of more than 4096 bits
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return jose.ES256
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= leastRSA {
			return jose.RS256
		}
	case ed25519.PublicKey:
		return jose.EdDSA
	}
	return ""
}
