package guard

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"countersign.dev/internal/authz"
)

// Reports say how many different reporters reported a client, and the network a
// device asked from, in the last day (requirement K-12): they had not started what
// was asked. The accounts of one network are one reporter. Fewer than WarnedReports are none.
type Reports struct {
	Client  int
	Network int
}

const (
	// ReportsCount is for how long a report counts.
	ReportsCount = 24 * time.Hour
	// WarnedReports are told to owners, and make a match necessary where none would be:
	// three people do not all slip. What they do is small, one warning and one match.
	WarnedReports = 3
	// shunnedReports shut a network out for the day. Accounts cost nothing and a
	// stranger has one network or a few, so that ten is more than somebody's own
	// machines, and fewer than the people whom one campaign reaches in a day.
	shunnedReports = 10

	reportClientTag  = "client:"
	reportNetworkTag = "network:"
	reportPagesTag   = "pages in "
)

// ReportSubjects are what a report counts against: the client and,
// where that says anything, the network it came from.
func (s *Guard) ReportSubjects(clientID string, seen authz.Seen, says authz.DeviceSays) []string {
	subjects := []string{reportClientTag + clientID}
	if !s.somebodys(seen.Network) {
		return subjects
	}
	return append(subjects, reportNetworkTag+startedIn(seen.Network, says))
}

// startedIn is a network, or the web pages that are looked at in one: a page has its
// visitors' browsers start requests, of which they know nothing, so that what it does is
// not held against the programs of their network. A program that says that it is a page is
// shut out as one, and then as itself: later, not never.
func startedIn(network string, says authz.DeviceSays) string {
	if says.Clean().Origin != "" {
		return reportPagesTag + network
	}
	return network
}

// somebodys reports whether a network is that of somebody: one that may be the proxy's
// is nobody's.
func (s *Guard) somebodys(network string) bool {
	prefix, err := netip.ParsePrefix(network)
	return err == nil && (!s.local || !prefix.Addr().IsPrivate())
}

// Reporter is for whom an owner's report counts: for their network, or where that says
// nothing for their account. Ten accounts are made in a second, ten networks are not.
func (s *Guard) Reporter(owner authz.Owner) string {
	if s.somebodys(owner.Seen.Network) {
		return reportNetworkTag + owner.Seen.Network
	}
	return owner.AccountID
}

// ReportsOf reads what is known of a request's client and network.
func (s *Guard) ReportsOf(ctx context.Context, r authz.DeviceRequest) (Reports, error) {
	counts, err := s.reported.Reports(ctx, s.ReportSubjects(r.ClientID, r.Seen, r.Says), s.now().Add(-ReportsCount))
	if err != nil {
		return Reports{}, err
	}
	for i, n := range counts {
		if n < WarnedReports {
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
// each request, and replaced by each recount and each report; issuer.New has it read first.
type shunned struct {
	networks atomic.Pointer[map[string]struct{}]
}

func (x *shunned) has(network string) bool {
	_, found := (*x.networks.Load())[network]
	return found
}

// ReadShunned reads the list anew.
func (s *Guard) ReadShunned(ctx context.Context) error {
	subjects, err := s.reported.Reported(ctx, reportNetworkTag, shunnedReports, s.now().Add(-ReportsCount))
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
