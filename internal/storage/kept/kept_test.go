package kept

import (
	"crypto/sha256"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/contract"
)

// lines are those of a file of values as some version of this program kept them. They are
// never rewritten: databases are full of them.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func wantSame(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not what is kept (-want +got):\n%s", diff)
	}
}

// clients and profiles are what the files of these names hold.
var (
	clients = []authz.Client{
		{
			ID: "a-client", Name: "A Client <&>", Secret: sha256.Sum256([]byte("secret")),
			RedirectURIs: []string{"https://a.example/back", "https://b.example/?a=<b>&c"},
			GrantTypes:   []string{authz.GrantDevice, authz.GrantRefresh},
			Scope:        "openid profile", AuthMethod: authz.AuthBasic,
			MemberKey: "02ab", OwnerBAPID: "bap", IDTokenAlg: "RS256",
			Approval: authz.ApprovalSigned, Registered: true,
		},
		{ID: "a-client"},
		{
			ID: "a-service", RedirectURIs: []string{"https://a.example/back"}, PostLogoutRedirectURIs: []string{"https://a.example/bye"},
			ApplicationType: authz.ApplicationWeb, GrantTypes: []string{authz.GrantCode, authz.GrantCredentials}, AuthMethod: authz.AuthJWT,
			ChosenSecret: "$argon2id$", Keys: `{"keys":[]}`, DPoPBound: true, Resources: []string{"https://api.example/v1"}, Registered: true,
		},
		{ID: "an-api", ExchangeFor: []string{"https://b.example"}, ExchangeActors: []string{"a-service"}, Registered: true},
	}
	profiles = []authz.Profile{
		{Name: "Ada <&> Lovelace", GivenName: "Ada", FamilyName: "Lovelace", Picture: "https://a.example/?a=1&b=2", Description: "é"},
		{},
	}
)

var redirects = []authz.Redirect{
	{URI: "https://a.example/back?a=1&b=2", State: `<"é`, HasState: true, CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
	{URI: "com.example.app:/back", HasState: true, CodeChallenge: "c"},
	{URI: "http://127.0.0.1:51004/back", CodeChallenge: "c"},
	{URI: "https://a.example/back", CodeChallenge: "c", ProvedSince: 1795424400},
}

// asks and grants of agents are what the files of these names hold.
var (
	asks = []authz.Asked{
		{
			Agent:  authz.AgentKey{ID: "bap", Name: "Ada's <agent>", PublicKey: "03ab", Thumbprint: "jkt"},
			Reason: "\"é\"", Counterparty: "https://shop.example", Details: `[{"type":"spend"}]`, Lifetime: 24 * time.Hour, Depth: 2, Parent: "grant", Line: "top",
		},
		{Agent: authz.AgentKey{ID: "jkt", Name: "a", Thumbprint: "jkt"}, Lifetime: time.Second},
	}
	delegations = []authz.Delegated{
		{Kind: authz.OfAgent, Agent: authz.AgentKey{ID: "bap", Name: "a", PublicKey: "03ab", Thumbprint: "jkt"}, Details: `[{"type":"spend"}]`, Depth: 2, Delegation: "hash"},
		{Kind: authz.OfSubAgent, Agent: authz.AgentKey{ID: "bap", Name: "a", Thumbprint: "jkt"}, Parent: "grant", Line: "top"},
	}
)

// vouches are what the file of this name holds.
var vouches = []authz.Vouch{{Path: "/api/passkeys", Body: `{"aud":"https://id.example.org","name":"Ada's <phone>\n\u0000"}`, Token: "03ab|brc77|2026-12-01T00:00:00.000Z|/api/passkeys|sig"}}

func TestTheRequestThatAddedAPasskeyIsKeptAsEarlierVersionsKeepIt(t *testing.T) {
	for i, line := range lines(t, "vouch.jsonl") {
		got, err := VouchOf(line)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, got, vouches[i])
		wantSame(t, Vouch(vouches[i]), line)
	}
	if v, err := VouchOf(""); v != (authz.Vouch{}) || err != nil || Vouch(v) != "" {
		t.Error("what was not kept is kept as something")
	}
	if _, err := VouchOf("{"); err == nil {
		t.Error("half a document is read")
	}
}

func TestWhatAgentsAskAndHaveIsKeptAsEarlierVersionsKeepIt(t *testing.T) {
	for i, line := range lines(t, "asked.jsonl") {
		got, err := AskedOf(line)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, got, asks[i])
		wantSame(t, Asked(asks[i]), line)
	}
	for i, line := range lines(t, "delegated.jsonl") {
		want := delegations[i]
		got := authz.Delegated{Kind: want.Kind, Agent: authz.AgentKey{ID: want.Agent.ID}, Parent: want.Parent, Line: want.Line}
		if err := DelegatedOf(line, &got); err != nil {
			t.Fatal(err)
		}
		wantSame(t, got, want)
		wantSame(t, Delegated(want), line)
	}
	var none authz.Delegated
	if asked, err := AskedOf(""); asked != (authz.Asked{}) || err != nil || Asked(asked) != "" || Delegated(none) != "" || DelegatedOf("", &none) != nil || none != (authz.Delegated{}) {
		t.Error("what is no agent's is kept as something")
	}
	_, err := AskedOf("{")
	if err == nil || DelegatedOf("{", &none) == nil {
		t.Error("half a document is read")
	}
}

func TestWhatASpendCountedIsKeptAsEarlierVersionsKeepIt(t *testing.T) {
	const line = `[{"grant":"g","name":"per_day 1","add":100},{"grant":"g","name":"payments","add":1}]`
	wantSame(t, Counters([]contract.Counter{{GrantID: "g", Name: "per_day 1", Add: 100, Most: 5}, {GrantID: "g", Name: "payments", Add: 1}}), line)
	for _, c := range []struct {
		settled  int64
		released bool
		want     []Counted
	}{
		{100, false, nil},
		{30, false, []Counted{{"g", "per_day 1", 70}}},
		{0, true, []Counted{{"g", "per_day 1", 100}, {"g", "payments", 1}}},
	} {
		back, err := GivenBack(line, 100, c.settled, c.released)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, back, c.want)
	}
	if _, err := GivenBack("{", 1, 1, false); err == nil {
		t.Error("half a document is read")
	}
}

func TestARedirectIsKeptAsEarlierVersionsKeepIt(t *testing.T) {
	for i, line := range lines(t, "redirect.jsonl") {
		got, err := RedirectOf(line)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, got, redirects[i])
		wantSame(t, Redirect(redirects[i]), line)
	}
	if none, err := RedirectOf(""); none != (authz.Redirect{}) || Redirect(none) != "" || err != nil {
		t.Errorf("none is kept as %q, %v", Redirect(none), err)
	}
	if _, err := RedirectOf("{"); err == nil {
		t.Error("half a document is read")
	}
}

func TestDocumentsAreReadAsEarlierVersionsWroteThem(t *testing.T) {
	for _, file := range []string{"client-before.jsonl", "client.jsonl"} {
		for i, line := range lines(t, file) {
			got, err := ClientOf(line)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, got, clients[i])
		}
	}
	for i, line := range lines(t, "profile.jsonl") {
		got, err := ProfileOf(line)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, got, profiles[i])
	}
}

func TestDocumentsAreWrittenAsEarlierVersionsReadThem(t *testing.T) {
	for i, line := range lines(t, "client.jsonl") {
		wantSame(t, Client(clients[i]), line)
	}
	for i, line := range lines(t, "profile.jsonl") {
		wantSame(t, Profile(profiles[i]), line)
	}
}

func TestWhatIsNoDocumentIsAnError(t *testing.T) {
	for _, text := range []string{"", "[]", `{"ID":1}`, `{"name":1}`, "{"} {
		_, client := ClientOf(text)
		_, profile := ProfileOf(text)
		if client == nil && profile == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestEveryMemberIsKeptAndHasANameOfItsOwn(t *testing.T) {
	c := authz.Client{}
	fill(t, reflect.ValueOf(&c).Elem())
	got, err := ClientOf(Client(c))
	if err != nil {
		t.Fatal(err)
	}
	c.Proved = false // which IdentifyClient alone says
	wantSame(t, got, c)

	p := authz.Profile{}
	fill(t, reflect.ValueOf(&p).Elem())
	gotProfile, err := ProfileOf(Profile(p))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, gotProfile, p)

	a := authz.Asked{}
	fill(t, reflect.ValueOf(&a).Elem())
	gotAsked, err := AskedOf(Asked(a))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, gotAsked, a)

	for _, kept := range []reflect.Type{
		reflect.TypeFor[client](), reflect.TypeFor[profile](), reflect.TypeFor[agentKey](), reflect.TypeFor[asked](), reflect.TypeFor[delegated](),
	} {
		for i := range kept.NumField() {
			if f := kept.Field(i); f.Tag.Get("json") == "" {
				t.Errorf("%s.%s would be kept under its Go name: give it a tag", kept.Name(), f.Name)
			}
		}
	}
}

// fill sets every member of a struct.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string:
			f.SetString(v.Type().Field(i).Name)
		case bool:
			f.SetBool(true)
		case int, time.Duration:
			f.SetInt(int64(i) + 1)
		case authz.AgentKey:
			fill(t, f)
		case []string:
			f.Set(reflect.ValueOf([]string{v.Type().Field(i).Name}))
		case authz.Hash:
			f.Set(reflect.ValueOf(authz.Hash(sha256.Sum256([]byte(v.Type().Field(i).Name)))))
		default:
			t.Fatalf("%s.%s is of a type that this test cannot set", v.Type(), v.Type().Field(i).Name)
		}
	}
}

func TestWordsInDatabasesStayWhatTheyAre(t *testing.T) {
	var words []string
	for _, state := range []authz.State{authz.Pending, authz.Approved, authz.Denied, authz.Redeemed, authz.Expired} {
		words = append(words, string(state))
	}
	for _, kind := range []authz.EventKind{
		authz.EventSignedIn, authz.EventSignedOut, authz.EventApproved, authz.EventDenied, authz.EventReported, authz.EventRevoked,
		authz.EventSessionEnded, authz.EventIdentityLinked, authz.EventIdentityRemoved, authz.EventProfileSet,
		authz.EventPasskeyAdded, authz.EventPasskeyRemoved, authz.EventBackupSaved, authz.EventBackupRemoved,
		authz.EventPaused, authz.EventResumed, authz.EventDelegated,
	} {
		words = append(words, string(kind))
	}
	words = append(words, authz.SubjectAll, authz.SubjectClient, authz.SubjectNotMe, authz.SubjectReuse, authz.SubjectAgents, authz.SubjectKill,
		authz.MethodBAP, authz.MethodPasskey, authz.ACRSession, authz.ACRPasskey, authz.ACRSignature, authz.ACRBefore, authz.DeniedForMatch, WayEvents)
	wantSame(t, words, lines(t, "words.txt"))
}

func TestTimesAreKeptToTheMillisecond(t *testing.T) {
	at := time.Date(2026, time.March, 29, 0, 59, 59, 7_654_321, time.UTC)
	wantSame(t, Time(at), int64(1774745999007))
	wantSame(t, TimeOf(Time(at)).UTC(), at.Truncate(time.Millisecond))
	wantSame(t, Time(time.Time{}), int64(0))
	wantSame(t, TimeOf(0), time.Time{})
}

func TestResourcesAreKeptWithASpaceBetween(t *testing.T) {
	for kept, uris := range map[string][]string{"": nil, "https://a.example": {"https://a.example"}, "https://a.example https://b.example/v1": {"https://a.example", "https://b.example/v1"}} {
		wantSame(t, Resources(uris), kept)
		wantSame(t, ResourcesOf(kept), uris)
	}
}

func TestNothingIsBeforeTheFirstPosition(t *testing.T) {
	wantSame(t, UpTo(contract.Position{}), int64(math.MaxInt64))
	wantSame(t, UpTo(contract.Position{At: time.UnixMilli(5), ID: "id"}), int64(5))
}
