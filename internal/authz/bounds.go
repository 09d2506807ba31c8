package authz

// What one account may keep, and how often networks may do what costs a row or
// work. docs/security/bounds.md has every table's bound; docs/operations.md tells
// operators of these.
const (
	// IdentitiesPerAccount: people have a few, for work, for play, for each machine.
	IdentitiesPerAccount = 20
	// SessionsPerAccount: browsers and machines of a week. A sign-in beyond ends the
	// oldest instead of being refused, which would lock its owner out.
	SessionsPerAccount = 100
	// EventsPerAccount is three months of ten events a day; and of ten changes of ways a
	// day besides, which are more than anybody makes, and as many of these again by who has
	// been in the account for longest.
	EventsPerAccount = 1000
	// DeparturesPerAccount is of identities that were taken out of an account. Those that
	// came into it first stay: who takes over an account and links and takes out many keys
	// of their own makes nobody forget those from before (decision 0045).
	DeparturesPerAccount = 100
	// LivingGrants: devices and programs that may act for somebody now. Nobody looks
	// through more when one is stolen.
	LivingGrants = 200
	// GrantsPerAccount is of grants that are alive or over: the newest, with their
	// receipts, for three months of ten approvals a day. Living ones always stay.
	GrantsPerAccount = 1000
	// ReportsPerAccount is of the subjects that somebody reported within a day.
	ReportsPerAccount = 100
	// ReviewsPerSession: requests that are looked at in one browser within minutes.
	ReviewsPerSession = 8
	// ListedAtMost bounds lists of what an account has few of; it may have more from
	// before there was a bound.
	ListedAtMost = 100
	// ForgottenAtOnce bounds the work of an operation that finds far more than is
	// kept, as one may from before there was a bound.
	ForgottenAtOnce = 100

	// refreshesPerMinute is how often one grant's tokens are refreshed: they live an
	// hour, and processes that share a grant refresh at once, but not every second.
	refreshesPerMinute = 60

	// Each of these is what one IPv4 address or IPv6 /64 may do; a /24 or /48 may four
	// times that, and twice a minute's worth may come at once.

	// newcomersPerMinute is how many accounts an address may bring: a key costs
	// nothing, and each account may keep a backup here for good. A classroom that
	// signs up together is served by the burst.
	newcomersPerMinute = 10
	// signInsPerMinute is of one account: a session lasts a week, so only a program that
	// keeps none comes often.
	signInsPerMinute = 60
	// actsPerMinute is of what one account changes, or signs by which a row is stored: a
	// machine that approves a rack of devices, two requests each.
	actsPerMinute = 240
	// networkActsPerMinute is of all accounts together: a classroom of a hundred that
	// opens and approves at once, each with a handful of requests.
	networkActsPerMinute = 1200
	// stopsPerMinute is of one session, or of one key: somebody who denies, takes back and
	// ends as fast as they can press.
	stopsPerMinute = 60
	// signaturesPerMinute is of all that are verified, 2 ms of a core each.
	signaturesPerMinute = 1200
	// forgedPerMinute is of signatures that do not hold, are by a key of nobody here, or
	// are more than their account may make: nobody's program makes them for long.
	forgedPerMinute = 60
	// wrongSecretsPerMinute is of one client's wrong secrets: somebody who tries what
	// they have at hand, or machines that restart with an old one.
	wrongSecretsPerMinute = 10
)
