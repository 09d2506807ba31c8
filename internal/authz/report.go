package authz

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"
)

// Reports say how many different accounts reported a client, and the network a
// device asked from, in the last day (requirement K-12): their owners had not
// started what was asked. Fewer than warnedReports are none.
type Reports struct {
	Client  int
	Network int
}

const (
	reportsCount = 24 * time.Hour
	// warnedReports are told to owners, and make a match necessary where none would be:
	// three people do not all slip. Accounts cost nothing, so that any number of reports
	// can be made up: what they do must stay small, and is one warning and one match.
	warnedReports = 3
	// shunnedReports shut a network out for the day.
	shunnedReports = 10

	reportClientTag  = "client:"
	reportNetworkTag = "network:"
)

// reportSubjects are what a report counts against: the client and,
// where that says anything, the network it came from. A network that may be the
// proxy's is nobody's.
func (s *Service) reportSubjects(clientID string, seen Seen) []string {
	subjects := []string{reportClientTag + clientID}
	network, err := netip.ParsePrefix(seen.Network)
	if err != nil || (s.local && network.Addr().IsPrivate()) {
		return subjects
	}
	return append(subjects, reportNetworkTag+seen.Network)
}

// reports reads what is known of a request's client and network.
func (s *Service) reports(ctx context.Context, r DeviceRequest) (Reports, error) {
	counts, err := s.store.Reports(ctx, s.reportSubjects(r.ClientID, r.Seen), s.now().Add(-reportsCount))
	if err != nil {
		return Reports{}, err
	}
	for i, n := range counts {
		if n < warnedReports {
			counts[i] = 0
		}
	}
	found := Reports{Client: counts[0]}
	if len(counts) > 1 {
		found.Network = counts[1]
	}
	return found, nil
}

// shunned are the networks that start no device requests today. It is read for
// each request and replaced by each sweep and each report.
type shunned struct {
	networks atomic.Pointer[map[string]struct{}]
}

func (x *shunned) has(network string) bool {
	networks := x.networks.Load()
	if networks == nil {
		return false
	}
	_, found := (*networks)[network]
	return found
}

// readShunned reads the list anew.
func (s *Service) readShunned(ctx context.Context) error {
	subjects, err := s.store.Reported(ctx, reportNetworkTag, shunnedReports, s.now().Add(-reportsCount))
	if err != nil {
		return err
	}
	networks := map[string]struct{}{}
	for _, subject := range subjects {
		networks[subject[len(reportNetworkTag):]] = struct{}{}
	}
	s.shunned.networks.Store(&networks)
	return nil
}
