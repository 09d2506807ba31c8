package config

import (
	"fmt"
	"strings"
)

// Reference is the table in Markdown, as docs/reference/configuration.md has it.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

Every setting has a default; ` + "`countersign serve`" + ` alone is a working server. The strongest source wins: flag, environment,
file, default. The file is ` + "`countersign.toml`" + ` in the current directory, else in the configuration directory, else what ` + "`--config`" + `
or ` + "`COUNTERSIGN_CONFIG`" + ` names; a key in it is the flag's name, but for those that begin with ` + "`agents-`" + `: they are in a table, as ` + "`max_lifetime`" + ` in ` + "`[agents]`" + `. This page is made from the program's own table.

| flag and key | environment | default | value | what it is |
|---|---|---|---|---|
`)
	for _, s := range settings {
		fallback := s.fallbackText
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", s.name, s.env(), fallback, s.unit, s.help)
	}
	b.WriteString(`
## Clients

Each ` + "`[[clients]]`" + ` table registers a client with the names of RFC 7591 and the standards after it:
` + "`client_id`, `client_name`, `client_secret`, `jwks`, `redirect_uris`, `post_logout_redirect_uris`, `application_type`,\n`grant_types`, `scope`, `token_endpoint_auth_method`, `id_token_signed_response_alg`, `dpop_bound_access_tokens`" + `; and ours:
` + "`member_pubkey`" + ` (the key whose X-Auth-Token authenticates the client instead of a secret), ` + "`owner_bap_id`" + `,
` + "`approval`" + ` (` + "`signature`" + `: a session alone may not approve what this client asks), ` + "`resources`" + ` (the URIs of what the client
itself serves, for which others ask for access tokens: RFC 8707), ` + "`exchange_for`" + ` (those for which it may exchange the tokens that it is sent:
RFC 8693), ` + "`exchange_actors`" + ` (ids of other clients that it may then say act for the owner, with a token of theirs), ` + "`agents`" + ` (its agents
may ask where ` + "`agents-clients`" + ` is ` + "`listed`" + `) and ` + "`may_charge`" + ` (it charges agents of any client for its ` + "`resources`" + `, which ` + "`resource`" + ` names too, and asks about tokens for them).

- Redirect URIs are https, or http on 127.0.0.1, [::1] or localhost, or of a scheme of the application's own that has a dot in it; they are compared to the
  letter, but for the port of a loopback address. With ` + "`application_type`" + ` ` + "`web`" + ` only https is taken.
- Without ` + "`grant_types`" + ` a client may use the device grant and ` + "`refresh_token`" + `, ` + "`authorization_code`" + ` if it has redirect URIs, and
  ` + "`urn:ietf:params:oauth:grant-type:token-exchange`" + ` if it has ` + "`exchange_for`" + `. Who exchanges tokens authenticates, and gets of their scope what its own ` + "`scope`" + ` has.
- ` + "`jwks`" + ` is a text with a JWK set of public keys (RFC 7517), with which the client authenticates by ` + "`private_key_jwt`" + `.

` + "`countersign clients`" + ` keeps clients in the
database instead; a client of the file wins over one there with the same id.

` + "```toml" + `
device-code-lifetime = "10m"

[agents]
clients = "registered"
max_lifetime = "168h"
always_ask = ["keys:export"]

[[clients]]
client_id = "my-tv"
client_name = "My television"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scope = "openid profile offline_access"

[[clients]]
client_id = "my-api"
client_secret = "32 random bytes are best"
resources = ["https://api.example.org"]
` + "```\n")
	return b.String()
}
