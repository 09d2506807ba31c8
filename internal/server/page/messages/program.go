package messages

import (
	"strings"

	"github.com/mileusna/useragent"
)

// Program says in words which program a User-Agent names. What is not a browser
// is shown by the name it gives itself.
func (w Words) Program(agent string) (string, error) {
	if agent == "" {
		return w.A("program.unknown")
	}
	parsed := useragent.Parse(agent)
	name, system := parsed.Name, parsed.OS
	if strings.HasPrefix(agent, name+"/") || !strings.Contains(agent, "Mozilla/") {
		name, _, _ = strings.Cut(agent, " ")
	}
	if system == "" {
		return name, nil
	}
	return w.A("program.on", "name", name, "system", system)
}
