package config

import (
	"regexp"
	"slices"
	"strings"
)

// prefix begins the name of every variable of ours.
const prefix = "COUNTERSIGN_"

// orchestrated are the variables that Kubernetes sets in every container for a
// service whose name begins with countersign. They are nobody's settings.
var orchestrated = regexp.MustCompile(`^COUNTERSIGN(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|PORT=(tcp|udp|sctp)://.*)$`)

// CheckEnvironment refuses variables of ours that nothing reads, as an unknown key
// of the file is refused. others are those that are no settings; environ is as
// os.Environ gives it.
//
//	*Error
func CheckEnvironment(environ, others []string) error {
	known := append([]string{prefix + "CONFIG"}, others...)
	for _, s := range settings {
		known = append(known, s.env())
	}
	ends := make([]string, len(known)) // what they begin with makes no name like another
	for i, name := range known {
		ends[i] = strings.TrimPrefix(name, prefix)
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || orchestrated.MatchString(name) || orchestrated.MatchString(variable) {
			continue
		}
		near := Nearest(strings.TrimPrefix(name, prefix), ends)
		if near != "" {
			near = prefix + near
		}
		return &Error{Setting: name, Origin: "the environment", Reason: "is nothing that this program reads" + didYouMean(near)}
	}
	return nil
}
