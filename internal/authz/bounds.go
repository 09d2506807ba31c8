package authz

// What one account may keep. docs/security/bounds.md has every table's bound; docs/operations.md tells
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
	// ConsentsPerAccount is of what clients are let in again for without asking: one for a
	// client and an identity, and nobody uses as many applications.
	ConsentsPerAccount = 200
	// LetInPerClient is of a client's grants for which nobody was asked: the browsers of a
	// household. Who used theirs longest ago signs in once more.
	LetInPerClient = 10
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
)
