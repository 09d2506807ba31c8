package config_test

import (
	"errors"
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"countersign.dev/internal/authz/client"
	"countersign.dev/internal/config"
)

var update = flag.Bool("update", false, "rewrite golden files")

func checkClient(c config.Client) (member string, err error) { return client.Registration(c).Check() }

// load loads with a file's text, an environment and flags.
func load(t *testing.T, file string, env map[string]string, args ...string) (*config.Settings, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		if err := os.WriteFile("countersign.toml", []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.Bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Load(flags, func(name string) string { return env[name] }, checkClient)
}

func TestTheDefaultsAreAWorkingServer(t *testing.T) {
	s, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Resolve(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8628}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Listen, []string{"localhost:8628"}) || s.Issuer != "http://localhost:8628" || s.DeviceCodeLifetime != 15*time.Minute ||
		s.DevicePollInterval != 5*time.Second || s.AccessTokenLifetime != time.Hour || s.UnregisteredClients != "open" ||
		s.Approval != "session" || filepath.Base(s.Data) != "countersign" {
		t.Errorf("%+v", s)
	}
}

func TestFlagsWinOverEnvironmentOverFileOverDefault(t *testing.T) {
	file := "log-level = \"warn\"\napproval = \"signature\"\nlog-format = \"json\"\n"
	env := map[string]string{"COUNTERSIGN_LOG_LEVEL": "error", "COUNTERSIGN_APPROVAL": "session"}
	s, err := load(t, file, env, "--log-level", "debug")
	if err != nil {
		t.Fatal(err)
	}
	if s.LogLevel != "debug" || s.Approval != "session" || s.LogFormat != "json" || s.SignUp != "open" {
		t.Errorf("%+v", s)
	}
}

func TestAWrongSettingIsOneLineThatNamesItAndSaysWhatWouldBeRight(t *testing.T) {
	for _, c := range []struct {
		file, wants string
		args        []string
	}{
		{args: []string{"--device-poll-interval", "soon"}, wants: "device-poll-interval (from --device-poll-interval) must be a duration from 1s to 1m0s, like 5s"},
		{args: []string{"--rotate-keys-every", "23h59m"}, wants: "rotate-keys-every (from --rotate-keys-every) must be 0 or a duration from 24h up"},
		{args: []string{"--rotate-keys-every", "-24h"}, wants: "must be 0 or a duration from 24h up"},
		{args: []string{"--rotate-keys-every", "90d"}, wants: "must be 0 or a duration from 24h up"},
		{args: []string{"--access-token-lifetime", "24h1s"}, wants: "must be a duration from 1s to 24h0m0s"}, // keys stay published for longer (M-08)
		{args: []string{"--issuer", "http://id.example.org"}, wants: "issuer (from --issuer) must be https"},
		{args: []string{"--issuer", "https://id.example.org/"}, wants: "without a trailing slash"},
		{args: []string{"--issuer", "https://id.example.org/api/auth/"}, wants: "without a trailing slash"},
		{args: []string{"--issuer", "https://id.example.org/api/Auth"}, wants: "and no other path"},
		{args: []string{"--issuer", "https://id.example.org/api%2fauth"}, wants: "and no other path"},
		{args: []string{"--issuer", "https://id.example.org//api/auth"}, wants: "and no other path"},
		{args: []string{"--listen", "8628"}, wants: "listen (from --listen) must be address:port"},
		{args: []string{"--device-requests-per-network", "-1"}, wants: "device-requests-per-network (from --device-requests-per-network) must be a whole number from 0 up"},
		{args: []string{"--trusted-proxies", "127.0.0.1,proxy"}, wants: "trusted-proxies (from --trusted-proxies) must be addresses or prefixes with commas between"},
		{args: []string{"--trusted-proxies", "10.0.0.0/33"}, wants: "trusted-proxies (from --trusted-proxies) must be addresses or prefixes"},
		{args: []string{"--trusted-proxies", "fe80::1%eth0"}, wants: "trusted-proxies (from --trusted-proxies) must be addresses or prefixes"},
		{args: []string{"--trusted-proxies", "0.0.0.0/0"}, wants: "must not trust every address"},
		{args: []string{"--trusted-proxies", "10.0.0.1,,"}, wants: "trusted-proxies (from --trusted-proxies) must be addresses"},
		{file: "\ntrusted-proxies = [\"127.0.0.1\", 5]\n", wants: "trusted-proxies (from countersign.toml:2) must be a text or a number"},
		{args: []string{"--listen", "127.0.0.1:1", "--listen", "8628"}, wants: "listen (from --listen) must be address:port"},
		{args: []string{"--listen", ""}, wants: "listen (from --listen) must be address:port"},
		{file: "issuer = [\"http://localhost:1\"]\n", wants: "issuer (from countersign.toml:1) must be a text or a number"},
		{args: []string{"--config", "none.toml"}, wants: "config (from none.toml) cannot be read"},
		{file: "\n\nlisten = 5\n", wants: "listen (from countersign.toml:3) must be address:port"},
		{file: "lisen = \"127.0.0.1:1\"", wants: "lisen (from countersign.toml:1) is not a setting; did you mean listen?"},
		{file: "\n[agents]\n\nclient = \"any\"", wants: "client (from countersign.toml:4) is not a setting of [agents]; did you mean clients?"},
		{file: "agents.presenc = \"password\"", wants: "presenc (from countersign.toml:1) is not a setting of [agents]; did you mean presence?"},
		{file: "[agents]\nmax-depth = 1", wants: "max-depth (from countersign.toml:2) is not a setting of [agents]; did you mean max_depth?"},
		{file: "[agents]\nlisten = \"x\"", wants: "listen (from countersign.toml:2) is not a setting of [agents]"},
		{file: "agents-clients = \"any\"", wants: "agents-clients (from countersign.toml:1) is not a setting"},
		{file: "agents = 5", wants: "agents (from countersign.toml:1) is not a setting"},
		{file: "[agents]\nclients = \"all\"", wants: "agents-clients (from countersign.toml:2) must be any or registered or listed"},
		{file: "[agents]\nmax_depth = 9", wants: "agents-max-depth (from countersign.toml:2) must be a whole number from 0 to 8"},
		{file: "[agents]\nmax_per_owner = 1", wants: "agents-max-per-owner (from countersign.toml:2) must be a whole number from 2 to"},
		{file: "[agents]\nmax_lifetime = \"59s\"", wants: "agents-max-lifetime (from countersign.toml:2) must be a duration from 1m0s"},
		{file: "[agents]\nalways_ask = [\"a b\"]", wants: "agents-always-ask (from countersign.toml:2) must be scopes with commas between"},
		{file: "[agents]\nunattended_approval = \"yes\"", wants: "agents-unattended-approval (from countersign.toml:2) must be false or true"},
		{file: "[agents]\npresence = true", wants: "presence (from countersign.toml:2) must be a text or a number"},
		{file: "[agents]\npresence = \"presence\"\nunattended_approval = true", wants: "agents-unattended-approval (from all that was given) asks for less than a password, and agents-presence for more"},
		{file: "[server]\nlisten = \"x\"", wants: "server (from countersign.toml:1) is not a setting"},
		{file: "listen = [", wants: "countersign.toml:1"},
		{file: "\n[[clients]]\nclient_id = \"a\"\nsecret = \"x\"", wants: "secret (from countersign.toml:4) is not a member of [[clients]]"},
		{file: "[[clients]]\nclient_id = \"a\"\n[[clients]]\nclient_id = \"a\"", wants: "client_id (from countersign.toml:3) is there twice"},
		{file: "[[clients]]\nclient_id = \"a\"\nmember_pubkey = \"04\"", wants: "member_pubkey (from countersign.toml:1)"},
		{file: "[[clients]]\nclient_id = \"a\"\nclient_secret = \"short\"", wants: "client_secret (from countersign.toml:1) must have at least 16"},
		{file: "[[clients]]\nclient_id = \"a\"\ngrant_types = [\"password\"]", wants: "grant_types"},
	} {
		_, err := load(t, c.file, nil, c.args...)
		var wrong *config.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.wants) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %v\n got %v\nwant %s", c.file, c.args, err, c.wants)
		}
	}
}

func TestB20_KeysAreReplacedAsOftenAsTheOperatorSays(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 90 * 24 * time.Hour, "0": 0, "24h": 24 * time.Hour, "8760h": 365 * 24 * time.Hour} {
		file := ""
		if text != "" {
			file = "rotate-keys-every = \"" + text + "\"\n"
		}
		if s, err := load(t, file, nil); err != nil || s.RotateKeysEvery != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

func TestSeveralAddressesMayBeListenedOn(t *testing.T) {
	want := []string{"localhost:8628", "10.0.0.11:80", "[2001:db8::1]:80"}
	const text = "localhost:8628, 10.0.0.11:80 ,[2001:db8::1]:80"
	for _, c := range []struct {
		file string
		env  map[string]string
		args []string
	}{
		{args: []string{"--listen", want[0], "--listen", want[1], "--listen", want[2]}},
		{args: []string{"--listen", text}},
		{env: map[string]string{"COUNTERSIGN_LISTEN": text}, file: "listen = \"127.0.0.1:1\""},
		{file: "listen = \"" + text + "\""},
		{file: "listen = [\"localhost:8628\", \"10.0.0.11:80\", \"[2001:db8::1]:80\"]"},
	} {
		s, err := load(t, c.file, c.env, c.args...)
		if err != nil || !slices.Equal(s.Listen, want) {
			t.Errorf("%+v: %v %v", c, s, err)
		}
	}
}

func TestB22_TrustedProxiesAreAddressesAndPrefixes(t *testing.T) {
	want := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.7.0/24"), netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("::1/128")}
	const text = "127.0.0.1, 10.0.7.9/24 ,2001:db8::/48,::1"
	for _, c := range []struct {
		file string
		env  map[string]string
		args []string
	}{
		{args: []string{"--trusted-proxies", text}},
		{env: map[string]string{"COUNTERSIGN_TRUSTED_PROXIES": text}},
		{file: "trusted-proxies = \"" + text + "\""},
		{file: "trusted-proxies = [\"::ffff:127.0.0.1\", \"10.0.7.0/24\", \"2001:db8::/48\", \"::1\"]"},
	} {
		s, err := load(t, c.file, c.env, c.args...)
		if err != nil || !slices.Equal(s.TrustedProxies, want) {
			t.Errorf("%+v: %v %v", c, s, err)
		}
	}
	if s, err := load(t, "", nil); err != nil || s.TrustedProxies != nil || s.DeviceRequestsPerNetwork != 30 {
		t.Errorf("by default: %+v %v", s, err)
	}
}

func TestD06_APublicIssuerIsHTTPSAndRefusesUnregisteredClients(t *testing.T) {
	s, err := load(t, "", nil, "--issuer", "https://id.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Resolve(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}); err != nil {
		t.Fatal(err)
	}
	if s.UnregisteredClients != "refuse" {
		t.Errorf("unregistered clients: %s", s.UnregisteredClients)
	}
}

func TestClientsOfTheFile(t *testing.T) {
	s, err := load(t, `
[[clients]]
client_id = "tv"
client_name = "Television"
scope = "openid profile"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code"]
[[clients]]
client_id = "service"
client_secret = "0123456789abcdef"
token_endpoint_auth_method = "client_secret_basic"
resources = ["https://api.example"]
exchange_for = ["https://calendar.example"]
exchange_actors = ["worker"]
agents = true
may_charge = true
resource = ["https://shop.example"]
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Clients) != 2 || s.Clients[0].Name != "Television" || s.Clients[1].Secret != "0123456789abcdef" ||
		!slices.Equal(s.Clients[1].ExchangeFor, []string{"https://calendar.example"}) || !slices.Equal(s.Clients[1].ExchangeActors, []string{"worker"}) ||
		!s.Clients[1].Agents || !s.Clients[1].MayCharge || s.Clients[0].Agents || s.Clients[0].MayCharge ||
		!slices.Equal(s.Clients[1].Resources, []string{"https://api.example", "https://shop.example"}) {
		t.Errorf("%+v", s.Clients)
	}
}

func TestTheDecisionsAboutAgentsAreATableOfTheFile(t *testing.T) {
	s, err := load(t, "", nil)
	want := config.Agents{
		Clients: "any", MaxLifetime: 720 * time.Hour, AccessTokenLifetime: 15 * time.Minute, MaxDepth: 3, MaxPerOwner: 100, Presence: "password", UnattendedApproval: "false",
	}
	if err != nil || !reflect.DeepEqual(s.Agents, want) || s.Agents.Unattended() {
		t.Errorf("by default: %+v %v", s, err)
	}
	const file = `
listen = "127.0.0.1:1"
[agents]
clients = "listed"
max_lifetime = "24h"
access_token_lifetime = "5m"
max_depth = 0
max_per_owner = 7
always_ask = ["pay", "keys:export"]
unattended_approval = true
`
	want = config.Agents{
		Clients: "listed", MaxLifetime: 24 * time.Hour, AccessTokenLifetime: 5 * time.Minute, MaxPerOwner: 7, AlwaysAsk: []string{"pay", "keys:export"},
		Presence: "password", UnattendedApproval: "true",
	}
	if s, err = load(t, file, nil); err != nil || !reflect.DeepEqual(s.Agents, want) || !s.Agents.Unattended() {
		t.Errorf("by the file: %+v %v", s, err)
	}
	s, err = load(t, "agents.clients = \"listed\"\n", map[string]string{"COUNTERSIGN_AGENTS_MAX_DEPTH": "2"}, "--agents-clients", "registered", "--agents-always-ask", "pay, tip")
	if err != nil || s.Agents.Clients != "registered" || s.Agents.MaxDepth != 2 || !slices.Equal(s.Agents.AlwaysAsk, []string{"pay", "tip"}) {
		t.Errorf("by flags and environment: %+v %v", s, err)
	}
}

func TestTheReferenceIsMadeFromTheTable(t *testing.T) {
	const path = "../../docs/reference/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(config.Reference()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != config.Reference() {
		t.Error("docs/reference/configuration.md is out of date: run go test ./internal/config -update")
	}
}

// A command that takes few settings has flags of its own, which are none.
func TestACommandTakesTheSettingsThatItNeeds(t *testing.T) {
	t.Chdir(t.TempDir())
	flags := pflag.NewFlagSet("clients add", pflag.ContinueOnError)
	config.Bind(flags, "data", "database")
	flags.String("name", "", "of a client")
	long := strings.Repeat("n", 50)
	if err := flags.Parse([]string{"--data", "x", "--name", long}); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(flags, func(name string) string { return map[string]string{"COUNTERSIGN_LISTEN": "127.0.0.1:1"}[name] }, checkClient)
	if err != nil || s.Data != "x" || s.Name == long || !slices.Equal(s.Listen, []string{"127.0.0.1:1"}) || flags.Lookup("listen") != nil {
		t.Errorf("%+v %v", s, err)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add("listen = \"127.0.0.1:1\"\n[[clients]]\nclient_id = \"a\"")
	f.Add("[[clients]]\n[clients.x]\ny=1")
	f.Add("agents = {max_depth = 1}\n[agents]\nmax_depth = 2\nalways_ask = [\"a\"]")
	f.Add("a.b = 1\n\"listen\" = 2")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		config.Bind(flags)
		if err := flags.Parse([]string{"--config", path}); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(flags, func(string) string { return "" }, checkClient)
		var wrong *config.Error
		if err != nil && !errors.As(err, &wrong) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
