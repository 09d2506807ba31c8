package main

import (
	"cmp"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign.dev/bench/internal/trial"
)

// What n stored device requests and n grants are made of:
//
//   - Requests were made at an even rate in the last half hour, for that is how
//     long a request is kept: 15 minutes it is valid, 15 more a late device is told
//     that it has expired. Of those older than a minute 50 % are redeemed, 6 % are
//     denied and 44 % were never decided; the younger ones are pending. So a quarter
//     of all is pending and valid, and another fifth pending by its row, but expired.
//   - Grants are of the last 90 days: 70 % live, with a refresh token each; 20 %
//     ended by themselves after an hour, 10 % were revoked.
//   - There are n/4 accounts, each with an identity, a session, and about four
//     grants. Each grant and each session has its event.
//
// Every key is as random as a real one and every code and token works: who is
// asked later is drawn from all over the tables.
const (
	requestLife = 15 * time.Minute
	requestKept = 2 * requestLife
	decidedIn   = time.Minute
	grantsKept  = 90 * 24 * time.Hour
	day         = 24 * time.Hour
)

const (
	client    = trial.ClientID
	scope     = trial.Scope
	memberKey = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798" // the point G: a valid one
	agent     = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)

// stored knows every row by its number.
type stored struct {
	n           int
	userCodeKey []byte
	// now is the moment that ages are counted from: about when the server will
	// start, for filling takes a while.
	now time.Time
}

// perRow is about how long it takes to store a device request.
const perRow = 15 * time.Microsecond

func newStored(n int, dir string) (*stored, error) {
	secret, err := os.ReadFile(filepath.Join(dir, "secret"))
	if err != nil {
		return nil, err
	}
	// As internal/authz/secret/secret.go derives it.
	key, err := hkdf.Key(sha256.New, secret, nil, "countersign/v1/user-code", 32)
	return &stored{n: n, userCodeKey: key, now: time.Now()}, err
}

func (s *stored) accounts() int { return max(1, s.n/4) }

// What a number of a row is drawn for: each kind has its own values.
const (
	ofRequest byte = iota + 'a'
	ofDeviceCode
	ofFate
	ofAccount
	ofIdentity
	ofSession
	ofSessionToken
	ofGrant
	ofGrantOwner
	ofRefreshToken
	ofEvent
)

// drawn is a row's random value of a kind, the same each time.
func drawn(kind byte, i int) [32]byte {
	var in [9]byte
	in[0] = kind
	binary.BigEndian.PutUint64(in[1:], uint64(i))
	return sha256.Sum256(in[:])
}

// below is a row's random number below n.
func below(kind byte, i, n int) int {
	b := drawn(kind, i)
	return int(binary.BigEndian.Uint64(b[:8]) % uint64(n))
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func id(kind byte, i int) string {
	b := drawn(kind, i)
	return idEncoding.EncodeToString(b[:16])
}

// secret is a code or token as its holder has it, and as it is kept.
func secret(prefix string, kind byte, i int) (text string, kept []byte) {
	b := drawn(kind, i)
	text = prefix + base64.RawURLEncoding.EncodeToString(b[:])
	hash := sha256.Sum256([]byte(text))
	return text, hash[:]
}

func deviceCode(i int) (string, []byte)   { return secret("csd_", ofDeviceCode, i) }
func sessionToken(i int) (string, []byte) { return secret("css_", ofSessionToken, i) }
func refreshToken(i int) (string, []byte) { return secret("csr_", ofRefreshToken, i) }

// userCode numbers the codes of a length through, with a stride that has no
// factor in common with their number, so that none comes twice.
func (s *stored) userCode(i int) (text string, kept []byte) {
	const letters, stride = "BCDFGHJKLMNPQRSTVWXZ", 618_033_988_749
	length, space := 8, 25_600_000_000
	for _, most := range []int{100_000, 2_000_000} { // internal/authz/usercode/usercode.go
		if s.n/4 >= most {
			length, space = length+1, space*20
		}
	}
	code := make([]byte, length)
	for at, rest := 0, i%space*(stride%space)%space; at < length; at, rest = at+1, rest/20 {
		code[at] = letters[rest%20]
	}
	text = string(code[:length/2]) + "-" + string(code[length/2:])
	mac := hmac.New(sha256.New, s.userCodeKey)
	mac.Write([]byte(text))
	return text, mac.Sum(nil)
}

func (s *stored) requestAge(i int) time.Duration {
	return time.Duration(float64(requestKept) * float64(s.n-i) / float64(s.n))
}

func (s *stored) requestState(i int) string {
	switch fate := below(ofFate, i, 100); {
	case s.requestAge(i) < decidedIn, fate >= 56:
		return "pending"
	case fate >= 50:
		return "denied"
	default:
		return "redeemed"
	}
}

// pending returns the numbers of so many requests that are pending and will be for
// five minutes or more, drawn from all of those.
func (s *stored) pending(most int) []int {
	var all []int
	for i := s.n - 1; i >= 0 && s.requestAge(i) < requestLife-5*time.Minute; i-- {
		if s.requestState(i) == "pending" {
			all = append(all, i)
		}
	}
	return spread(all, most)
}

// spread takes so many out of a list at even distances, in mixed order.
func spread(all []int, most int) []int {
	most = min(most, len(all))
	some := make([]int, most)
	for k := range some {
		some[k] = all[k*len(all)/most]
	}
	slices.SortFunc(some, func(a, b int) int { return cmp.Compare(below(ofFate, a, 1<<30), below(ofFate, b, 1<<30)) })
	return some
}

// The three ends of grants.
const (
	grantLives = iota
	grantEnded
	grantRevoked
)

func grantFate(i int) int {
	switch fate := below(ofGrant, i, 10); {
	case fate < 7:
		return grantLives
	case fate < 9:
		return grantEnded
	default:
		return grantRevoked
	}
}

// living returns the numbers of so many grants that have a refresh token.
func (s *stored) living(most int) []int {
	all := make([]int, 0, s.n*3/4)
	for i := range s.n {
		if grantFate(i) == grantLives {
			all = append(all, i)
		}
	}
	return spread(all, most)
}

func (s *stored) grantTime(i int) time.Time {
	return s.now.Add(-time.Duration(float64(grantsKept) * float64(s.n-i) / float64(s.n+1)))
}

func (s *stored) grantOwner(i int) int { return below(ofGrantOwner, i, s.accounts()) }

// bapID is as long as a real one.
func bapID(account int) string {
	b := drawn(ofIdentity, account)
	return "1" + hex.EncodeToString(b[:13])
}
