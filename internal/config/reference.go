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
or ` + "`COUNTERSIGN_CONFIG`" + ` names; a key in it is the flag's name. This page is made from the program's own table.

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

Each ` + "`[[clients]]`" + ` table registers a client with the names of RFC 7591: ` + "`client_id`, `client_name`, `client_secret`,\n`redirect_uris`, `grant_types`, `scope`, `token_endpoint_auth_method`, `id_token_signed_response_alg`" + `; and ours:
` + "`member_pubkey`" + ` (the key whose X-Auth-Token authenticates the client instead of a secret), ` + "`owner_bap_id`" + ` and
` + "`approval`" + ` (` + "`signature`" + `: a session alone may not approve what this client asks). ` + "`countersign clients`" + ` keeps clients in the
database instead; a client of the file wins over one there with the same id.

` + "```toml" + `
device-code-lifetime = "10m"

[[clients]]
client_id = "my-tv"
client_name = "My television"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scope = "openid profile offline_access"
` + "```\n")
	return b.String()
}
