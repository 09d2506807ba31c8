package config

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// file is a configuration file that was read.
type file struct {
	path        string
	values      map[string]value
	clients     []Client
	clientLines []int // where each begins
}

type value struct{ text, origin string }

// holdsSecrets reports whether others must not read the file.
func (f *file) holdsSecrets() bool {
	return hasPassword(f.values["database"].text) || slices.ContainsFunc(f.clients, func(c Client) bool { return c.Secret != "" })
}

// maxFile bounds a configuration file in bytes.
const maxFile = 1 << 20

// parseFile reads a configuration file. Unknown keys are errors, with their line.
//
//	*Error
func parseFile(path string, text []byte) (*file, error) {
	if len(text) > maxFile {
		return nil, &Error{Setting: "config", Origin: path, Reason: "is larger than a configuration can be"}
	}
	var raw map[string]any
	if err := toml.Unmarshal(text, &raw); err != nil {
		return nil, tomlError(path, err)
	}
	lines, clientLines := keyLines(text)
	f := &file{path: path, values: map[string]value{}, clientLines: clientLines}
	agents, isTable := raw[agentsTable].(map[string]any)
	if isTable {
		delete(raw, agentsTable)
	}
	delete(raw, "clients")
	if err := f.readValues(raw, lines, ""); err != nil {
		return nil, err
	}
	if err := f.readValues(agents, lines, agentsTable); err != nil {
		return nil, err
	}
	return f, f.readClients(text)
}

// readValues reads the keys of the file that are in no table, or those of one.
func (f *file) readValues(raw map[string]any, lines map[string]int, table string) error {
	for key, v := range raw {
		name, line := key, lines[key]
		if table != "" {
			name, line = table+"-"+strings.ReplaceAll(key, "_", "-"), cmp.Or(lines[table+"."+key], lines[table])
		}
		origin := f.path + ":" + strconv.Itoa(line)
		s := named(name)
		if s == nil || s.key() != key || s.table() != table {
			return &Error{Setting: key, Origin: origin, Reason: "is not a setting" + whereOf(table) + didYouMean(nearestKey(key, table))}
		}
		text, ok := plain(v)
		if array, isArray := v.([]any); isArray && s.list {
			text, ok = joined(array)
		}
		if yes, isBool := v.(bool); isBool && slices.Contains(s.choices, "true") {
			text, ok = strconv.FormatBool(yes), true
		}
		if !ok {
			return &Error{Setting: key, Origin: origin, Reason: "must be a text or a number"}
		}
		f.values[name] = value{text, origin}
	}
	return nil
}

func whereOf(table string) string {
	if table == "" {
		return ""
	}
	return " of [" + table + "]"
}

// nearestKey is the key of a table, or of none, that a misspelt one is nearest to.
func nearestKey(key, table string) string {
	var keys []string
	for _, s := range settings {
		if s.table() == table {
			keys = append(keys, s.key())
		}
	}
	return Nearest(key, keys)
}

// readClients decodes the [[clients]] strictly.
func (f *file) readClients(text []byte) error {
	var tables struct {
		Clients []struct {
			Client
			Resource []string `toml:"resource"` // RFC 8707's name, of resources too
		} `toml:"clients"`
	}
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&tables)
	var strict *toml.StrictMissingError
	switch {
	case errors.As(err, &strict):
		for _, e := range strict.Errors {
			if key := e.Key(); len(key) > 1 && key[0] == "clients" {
				row, _ := e.Position()
				return &Error{Setting: key[len(key)-1], Origin: f.path + ":" + strconv.Itoa(row), Reason: "is not a member of [[clients]]"}
			}
		}
	case err != nil:
		return tomlError(f.path, err)
	}
	for _, c := range tables.Clients {
		c.Resources = append(c.Resources, c.Resource...)
		f.clients = append(f.clients, c.Client)
	}
	return nil
}

// checkClients holds each of the [[clients]] to the rules of clients.
func (f *file) checkClients(check CheckClient) error {
	seen := map[string]bool{}
	for i, c := range f.clients {
		origin := f.path
		if i < len(f.clientLines) {
			origin += ":" + strconv.Itoa(f.clientLines[i])
		}
		if seen[c.ID] {
			return &Error{Setting: "client_id", Origin: origin, Reason: "is there twice"}
		}
		seen[c.ID] = true
		if name, err := check(c); err != nil {
			return &Error{Setting: name, Origin: origin, Reason: err.Error()}
		}
	}
	return nil
}

func tomlError(path string, err error) error {
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := decode.Position()
		key := cmp.Or(strings.Join(decode.Key(), "."), "config")
		return &Error{Setting: key, Origin: path + ":" + strconv.Itoa(row), Reason: strings.TrimPrefix(decode.Error(), "toml: ")}
	}
	return &Error{Setting: "config", Origin: path, Reason: err.Error()}
}

// keyLines finds the line of each top-level key, of each key in a table, as table.key, and of
// each [[clients]].
func keyLines(text []byte) (keys map[string]int, clients []int) {
	keys = map[string]int{}
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		it := e.Key()
		if !it.Next() {
			continue
		}
		name := string(it.Node().Data)
		line := p.Shape(it.Node().Raw).Start.Line
		switch e.Kind {
		case unstable.ArrayTable, unstable.Table:
			table = name + "."
			if name == "clients" {
				clients = append(clients, line)
			} else if keys[name] == 0 {
				keys[name] = line
			}
		case unstable.KeyValue:
			if it.Next() { // agents.clients = "any"
				keys[name+"."+string(it.Node().Data)] = line
			}
			keys[table+name] = line
		}
	}
	return keys, clients
}

func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	default:
		return "", false
	}
}

// joined is an array of texts as flags and environment write it.
func joined(list []any) (string, bool) {
	texts := make([]string, len(list))
	for i, v := range list {
		var ok bool
		if texts[i], ok = v.(string); !ok {
			return "", false
		}
	}
	return strings.Join(texts, ","), true
}

// named finds a setting, or nil.
func named(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// didYouMean says which name may have been meant, if one may.
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// Nearest is the known name that a misspelt one is nearest to, or none that is near: a
// letter in three may be wrong.
func Nearest(name string, known []string) string {
	const most = 64 // longer names are nobody's slip
	best, least := "", (len(name)+1)/3+1
	for _, k := range known {
		if len(name) > most {
			break
		}
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters of a short text are to be changed, added, taken out or
// exchanged with the next one to make another of it.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
