package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Settings are the values in force.
type Settings struct {
	Listen               []string // localhost is both loopback addresses
	Issuer               string
	Data                 string
	Database             DatabaseURL // empty: SQLite in Data
	SecretFile           string
	DeviceCodeLifetime   time.Duration
	DevicePollInterval   time.Duration
	AccessTokenLifetime  time.Duration
	RefreshIdleLifetime  time.Duration
	RefreshTokenLifetime time.Duration
	RefreshTokenGrace    time.Duration
	SessionLifetime      time.Duration
	RotateKeysEvery      time.Duration // 0 is never
	UnregisteredClients  string        // "open" or "refuse"
	Approval             string        // "session" or "signature"
	SignUp               string        // "open" or "closed"
	DPoPNonce            string        // "optional" or "required"
	PendingLimit         int
	// DeviceRequestsPerNetwork is a minute's worth; 0 is no limit.
	DeviceRequestsPerNetwork int
	TrustedProxies           []netip.Prefix
	LogLevel                 string // "debug", "info", "warn" or "error"
	LogFormat                string // "text", "json" or "auto"
	Name                     string
	Logo                     string // a file
	Accent                   string // #rrggbb
	Agents                   Agents

	// Clients are the [[clients]] of the file.
	Clients []Client
	// File is the configuration file that was read, or empty. FileHoldsSecrets: a
	// database's password or a client's secret stands in it.
	File             string
	FileHoldsSecrets bool
}

// setting is one row of the table.
type setting struct {
	name         string // flag and, unless it is in a table, file key; the environment's name derives from it
	fallback     string
	fallbackText string // what the documents say when the default is computed
	unit         string
	word         string // what its flag is given, in the help, where the unit is no word
	choices      []string
	list         bool // its flag may be repeated, and in the file it may be an array
	help         string
	set          func(s *Settings, text string) error
}

// env is the setting's environment variable.
func (s setting) env() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// table is the one of the file that the setting's key is in, or empty; key is the key.
func (s setting) table() string {
	if strings.HasPrefix(s.name, agentsTable+"-") {
		return agentsTable
	}
	return ""
}

func (s setting) key() string {
	if s.table() == "" {
		return s.name
	}
	return strings.ReplaceAll(strings.TrimPrefix(s.name, agentsTable+"-"), "-", "_")
}

// settings is the table.
var settings = slices.Concat(generalSettings, agentSettings)

var generalSettings = []setting{
	{
		name: "listen", fallback: "localhost:8628", unit: "address:port", list: true,
		help: "where to listen, several times if need be; localhost is 127.0.0.1 and [::1]; nothing but loopback unless you say so",
		set: func(s *Settings, text string) (err error) {
			s.Listen, err = parseListen(text)
			return err
		},
	},
	{
		name: "issuer", fallbackText: "`http://localhost:` and the port listened on", unit: "URL",
		help: "this server's public address: https, or http on a loopback name; no path but /api/auth",
		set: func(s *Settings, text string) error {
			s.Issuer = text
			if text == "" {
				return nil
			}
			return checkIssuer(text)
		},
	},
	{
		name: "data", fallbackText: "the platform's data directory", unit: "directory",
		help: "where the database and the generated secret are",
		set:  func(s *Settings, text string) error { s.Data = text; return nil },
	},
	{
		name: "database", fallbackText: "SQLite in the data directory", unit: "postgres://URL", word: "URL",
		help: "a PostgreSQL database, which several servers may share; with a password in it, better in the environment or the file than in a flag",
		set: func(s *Settings, text string) error {
			s.Database = DatabaseURL(text)
			return checkDatabase(text)
		},
	},
	{
		name: "secret-file", fallbackText: "generated in the data directory", unit: "file",
		help: "a file with the operator's secret, 32 bytes or more; signing keys are encrypted with it, and all servers of one database need the same",
		set:  func(s *Settings, text string) error { s.SecretFile = text; return nil },
	},
	// A code lives briefly (requirement D-36): the less there is to guess.
	durationSetting("device-code-lifetime", "15m", time.Second, 30*time.Minute,
		"how long a device waits for its owner (expires_in of RFC 8628); 1m to 30m in practice", func(s *Settings) *time.Duration { return &s.DeviceCodeLifetime }),
	durationSetting("device-poll-interval", "5s", time.Second, time.Minute,
		"how often a device may poll (interval of RFC 8628)", func(s *Settings) *time.Duration { return &s.DevicePollInterval }),
	durationSetting("access-token-lifetime", "1h", time.Second, 24*time.Hour,
		"how long access and ID tokens are good", func(s *Settings) *time.Duration { return &s.AccessTokenLifetime }),
	durationSetting("refresh-idle-lifetime", "720h", time.Second, 8760*time.Hour,
		"how long a refresh token lasts that is not used", func(s *Settings) *time.Duration { return &s.RefreshIdleLifetime }),
	durationSetting("refresh-token-lifetime", "4320h", time.Second, 8760*time.Hour,
		"how long a grant lasts, however often it is renewed", func(s *Settings) *time.Duration { return &s.RefreshTokenLifetime }),
	durationSetting("refresh-token-grace", "30s", 0, 5*time.Minute,
		"how long a replaced refresh token still gives its successor, for answers that got lost", func(s *Settings) *time.Duration { return &s.RefreshTokenGrace }),
	durationSetting("session-lifetime", "168h", time.Second, 8760*time.Hour,
		"how long a person stays signed in", func(s *Settings) *time.Duration { return &s.SessionLifetime }),
	{
		name: "rotate-keys-every", fallback: "2160h", unit: "duration",
		help: "after how long a signing key is replaced by a new one; 24h or more, 0 for never",
		set: func(s *Settings, text string) (err error) {
			s.RotateKeysEvery, err = time.ParseDuration(text)
			if err != nil || (s.RotateKeysEvery != 0 && s.RotateKeysEvery < 24*time.Hour) {
				return errors.New("must be 0 or a duration from 24h up, like 2160h")
			}
			return nil
		},
	},
	choiceSetting("unregistered-clients", "", []string{"open", "refuse"},
		"whether client ids that nobody registered may ask; they are shown as not verified", func(s *Settings) *string { return &s.UnregisteredClients },
		"`open` on a loopback issuer, else `refuse`"),
	choiceSetting("approval", "session", []string{"session", "signature"},
		"whether a signed-in session may approve, or only a signature of the identity's key", func(s *Settings) *string { return &s.Approval }, ""),
	choiceSetting("sign-up", "open", []string{"open", "closed"},
		"whether the first sign-in of a key makes its account", func(s *Settings) *string { return &s.SignUp }, ""),
	choiceSetting("dpop-nonce", "optional", []string{"optional", "required"},
		"whether each DPoP proof must have a nonce of this server, which costs clients a request more every few minutes", func(s *Settings) *string { return &s.DPoPNonce }, ""),
	{
		name: "pending-limit", fallback: "1000000", unit: "device requests", word: "n",
		help: "the most device requests that may wait for their owners at once",
		set: func(s *Settings, text string) (err error) {
			s.PendingLimit, err = strconv.Atoi(text)
			if err != nil || s.PendingLimit < 1 {
				return errors.New("must be a whole number from 1 up, like 1000000")
			}
			return nil
		},
	},
	{
		name: "device-requests-per-network", fallback: "30", unit: "requests a minute", word: "n",
		help: "how many device requests an IPv4 address or IPv6 /64 may start, twice that at once; a /24 or /48 four times that; 0 for any number",
		set: func(s *Settings, text string) (err error) {
			s.DeviceRequestsPerNetwork, err = strconv.Atoi(text)
			if err != nil || s.DeviceRequestsPerNetwork < 0 {
				return errors.New("must be a whole number from 0 up, like 30")
			}
			return nil
		},
	},
	{
		name: "trusted-proxies", fallbackText: "none", unit: "addresses or prefixes", word: "list", list: true,
		help: "the reverse proxies whose X-Forwarded-For (or Forwarded) is believed, like 127.0.0.1,10.0.7.0/24; list proxies only, never the networks of people",
		set: func(s *Settings, text string) (err error) {
			s.TrustedProxies, err = parseProxies(text)
			return err
		},
	},
	{
		name: "name", fallback: "Countersign", unit: "text",
		help: "what the pages call this server: the name of whoever runs it",
		set: func(s *Settings, text string) error {
			s.Name = text
			if text == "" || utf8.RuneCountInString(text) > maxName {
				return errors.New("must have 1 to 40 characters")
			}
			return nil
		},
	},
	{
		name: "logo", fallbackText: "none", unit: "file",
		help: "an image for the pages: PNG, JPEG, WebP or GIF, at most 64 KiB",
		set:  func(s *Settings, text string) error { s.Logo = text; return nil },
	},
	{
		name: "accent-color", fallback: "#1f5f4a", unit: "#rrggbb",
		help: "the colour of buttons and links; it must be readable on the light page, and is lightened for the dark one",
		set: func(s *Settings, text string) error {
			s.Accent = text
			if !hexColor.MatchString(text) {
				return errors.New("must be a colour like #1f5f4a")
			}
			return nil
		},
	},
	choiceSetting("log-level", "info", []string{"debug", "info", "warn", "error"},
		"the least important lines to log", func(s *Settings) *string { return &s.LogLevel }, ""),
	choiceSetting("log-format", "auto", []string{"text", "json", "auto"},
		"how log lines look; auto is text on a terminal, else json", func(s *Settings) *string { return &s.LogFormat }, ""),
}

// maxName keeps the operator's name to one line of a telephone.
const maxName = 40

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

func durationSetting(name, fallback string, least, most time.Duration, help string, field func(*Settings) *time.Duration) setting {
	return setting{
		name: name, fallback: fallback, unit: "duration", help: help,
		set: func(s *Settings, text string) error {
			d, err := time.ParseDuration(text)
			if err != nil || d < least || d > most {
				return fmt.Errorf("must be a duration from %v to %v, like %s", least, most, fallback)
			}
			if d%time.Second != 0 {
				return errors.New("must be whole seconds, which is all the protocol can say")
			}
			*field(s) = d
			return nil
		},
	}
}

func choiceSetting(name, fallback string, choices []string, help string, field func(*Settings) *string, fallbackText string) setting {
	return setting{
		name: name, fallback: fallback, fallbackText: fallbackText, unit: strings.Join(choices, " or "), word: "word", choices: choices, help: help,
		set: func(s *Settings, text string) error {
			if text != "" || fallback != "" {
				if err := oneOf(text, choices); err != nil {
					return err
				}
			}
			*field(s) = text
			return nil
		},
	}
}

// parseProxies reads addresses and CIDR prefixes, separated by commas.
func parseProxies(text string) ([]netip.Prefix, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var proxies []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		prefix, err := netip.ParsePrefix(item)
		if addr, notPrefix := netip.ParseAddr(item); notPrefix == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		switch {
		case err != nil || prefix.Addr().Is4In6():
			return nil, errors.New("must be addresses or prefixes with commas between, like 127.0.0.1,10.0.7.0/24")
		case prefix.Bits() == 0:
			return nil, errors.New("must not trust every address: list the proxies only")
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func oneOf(text string, choices []string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return errors.New("must be " + strings.Join(choices, " or "))
}

// parseListen reads addresses with ports, separated by commas.
func parseListen(text string) (addresses []string, err error) {
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		_, port, err := net.SplitHostPort(item)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return nil, errors.New("must be address:port, like 127.0.0.1:8628; several with commas between")
		}
		addresses = append(addresses, item)
	}
	return addresses, nil
}

// IssuerPath is the one path that an issuer may have.
const IssuerPath = "/api/auth"

// checkIssuer holds the issuer to RFC 8414 §2, which wants https (requirement D-06; of
// this machine alone http will do), and, because endpoints have fixed paths under the
// origin, to no path but the one that existing servers have in their issuer (decision 0076).
func checkIssuer(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return errors.New("must be a URL, like https://id.example.org")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || (u.Path != "" && u.EscapedPath() != IssuerPath):
		return errors.New("must be only scheme and host, without a trailing slash, like https://id.example.org; /api/auth may stand behind it, and no other path")
	case u.Host != strings.ToLower(u.Host):
		return errors.New("must have its host in lower case, as browsers write it")
	case (u.Scheme == "https" && u.Port() == "443") || (u.Scheme == "http" && u.Port() == "80"):
		return errors.New("must be without the port that its scheme implies")
	case u.Port() != "" && !isPort(u.Port()):
		return errors.New("must have a port from 1 to 65535, or none")
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return errors.New("must be https on a name that is not loopback")
	}
	return nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// IsLoopback reports whether a host is this machine: localhost, a name under it,
// or a loopback address.
func IsLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Resolve fills in what depends on the (first) address listened on, once it is
// known: the default issuer, and whether unregistered clients may ask.
func (s *Settings) Resolve(listening net.Addr) error {
	if s.Issuer == "" {
		_, port, err := net.SplitHostPort(listening.String())
		if err != nil {
			return err
		}
		s.Issuer = "http://localhost:" + port
	}
	u, err := url.Parse(s.Issuer)
	if err != nil {
		return err
	}
	if s.UnregisteredClients == "" {
		s.UnregisteredClients = "refuse"
		if IsLoopback(u.Hostname()) {
			s.UnregisteredClients = "open"
		}
	}
	return nil
}
