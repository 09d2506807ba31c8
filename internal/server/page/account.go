package page

import (
	"net/http"
	"net/url"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/server/page/messages"
	"countersign.dev/internal/server/page/view"
	"countersign.dev/internal/server/wire"
)

// Where forms lead back to.
const (
	AccountPath = "/account"
	DonePath    = "/device/done/{id}"
)

// Account is GET /account: what an owner has, and has allowed and may take back
// (requirement K-11).
func (s *Screens) Account(w http.ResponseWriter, r *http.Request) error {
	who, err := s.door.SessionOwner(r)
	if wire.IsUnauthorized(err) {
		return s.signInPage(w, r, "", "")
	}
	if err != nil {
		return err
	}
	return s.showInTurn(w, r, who, accountScreen, func() (any, error) {
		page, err := s.accountView(r, who)
		page.Told = page.JustNow(r.URL.Query().Get(toldOf), s.issuer.Now())
		return page, err
	})
}

// The account's address says which event the page is to tell at its top. It does so while
// that is news, and where there is one: a link alone claims nothing.
const (
	toldOf      = "done"
	AccountDone = AccountPath + "?" + toldOf + "="
)

// shown is how many things of a long list a person gets at once.
const shown = 50

// accountReader gathers the page; its errors are those of the store.
type accountReader struct {
	*Screens
	r     *http.Request
	who   authz.Owner
	say   messages.Words
	names map[string]string // of identities
	view  view.Account
}

func (s *Screens) accountView(r *http.Request, who authz.Owner) (view.Account, error) {
	a := &accountReader{Screens: s, r: r, who: who, say: s.words(r), names: map[string]string{}, view: view.Account{BAPID: who.BAPID, ByPasskey: who.Method == authz.MethodPasskey}}
	for _, read := range []func() error{a.identities, a.grants, a.consents, a.passkeys, a.backups, a.sessions, a.events} {
		if err := read(); err != nil {
			return view.Account{}, err
		}
	}
	return a.view, nil
}

func (a *accountReader) identities() error {
	list, err := a.issuer.Accounts.Identities(a.r.Context(), a.who)
	for _, i := range list {
		a.names[i.BAPID] = i.DisplayName()
		a.view.Identities = append(a.view.Identities, view.AccountIdentity{Identity: i, Name: i.DisplayName(), Session: i.BAPID == a.who.BAPID})
	}
	return err
}

// grants are those that are alive; what is over is among the events.
func (a *accountReader) grants() error {
	from := a.r.URL.Query().Get("grants")
	list, next, err := a.issuer.Grants.Living(a.r.Context(), a.who, from, shown)
	if err != nil {
		return err
	}
	a.view.OlderGrants = a.older("grants", from, next)
	for _, g := range list {
		program, err := a.program(g.Seen.UserAgent)
		if err != nil {
			return err
		}
		name, err := a.door.ClientName(a.r, g.ClientID)
		if err != nil {
			return err
		}
		a.view.Grants = append(a.view.Grants, view.AccountGrant{
			Grant: g, ClientName: name, Identity: a.names[g.BAPID], Scopes: view.Scopes(g.Scope),
			How: "how." + view.Proof(g.ACR), Receipt: g.ACR == authz.ACRSignature,
			DeviceName: g.Says.Name, Program: program, Network: g.Seen.Network,
		})
	}
	return nil
}

// consents are the clients that are let in without asking.
func (a *accountReader) consents() error {
	list, err := a.issuer.Consents.List(a.r.Context(), a.who)
	if err != nil {
		return err
	}
	for _, n := range list {
		name, err := a.door.ClientName(a.r, n.ClientID)
		if err != nil {
			return err
		}
		a.view.Consents = append(a.view.Consents, view.AccountConsent{Consent: n, ClientName: name, Identity: a.names[n.BAPID], Scopes: view.Scopes(n.Scope)})
	}
	return nil
}

// older is the address of this page with the older part of one of its lists, where
// there is one: the cursors are those of the part that is shown and of the next.
func (a *accountReader) older(list, from, next string) string {
	a.view.Later = a.view.Later || from != ""
	if next == "" {
		return ""
	}
	return AccountPath + "?" + url.Values{list: {next}}.Encode() + "#" + list + "-title"
}

// program is empty where nothing is known.
func (a *accountReader) program(agent string) (string, error) {
	if agent == "" {
		return "", nil
	}
	return a.say.Program(agent)
}

func (a *accountReader) passkeys() error {
	a.view.PasskeysPossible = a.issuer.Passkeys.Possible()
	list, err := a.issuer.Passkeys.List(a.r.Context(), a.who)
	for _, p := range list {
		a.view.Passkeys = append(a.view.Passkeys, view.AccountPasskey{Passkey: p, Identity: a.names[p.BAPID]})
	}
	return err
}

func (a *accountReader) backups() (err error) {
	a.view.Backups, err = a.issuer.Accounts.Backups(a.r.Context(), a.who)
	return err
}

func (a *accountReader) sessions() error {
	list, err := a.issuer.Accounts.Sessions(a.r.Context(), a.who)
	if err != nil {
		return err
	}
	for _, n := range list {
		program, err := a.say.Program(n.UserAgent)
		if err != nil {
			return err
		}
		how := "signed-in.key"
		if n.Method == authz.MethodPasskey {
			how = "signed-in.passkey"
		}
		a.view.Sessions = append(a.view.Sessions, view.AccountSession{Session: n, Identity: a.names[n.BAPID], Program: program, How: how, Here: n.ID == a.who.SessionID})
	}
	a.view.OtherSessions = len(list) > 1
	return nil
}

func (a *accountReader) events() error {
	from := a.r.URL.Query().Get("events")
	list, next, err := a.issuer.Accounts.Events(a.r.Context(), a.who, from, shown)
	if err != nil {
		return err
	}
	a.view.OlderEvents = a.older("events", from, next)
	for _, e := range list {
		program, err := a.program(e.UserAgent)
		if err != nil {
			return err
		}
		name, err := a.door.ClientOf(a.r, e)
		if err != nil {
			return err
		}
		a.view.Events = append(a.view.Events, view.AccountEvent{
			Event: e, Message: view.EventMessage(e), ClientName: name, Identity: a.nameOf(e.BAPID),
			Program: program, Receipt: e.ACR == authz.ACRSignature, // of an approval
		})
	}
	return nil
}

// nameOf is the name of an identity; of one that was taken out the id, shortened.
func (a *accountReader) nameOf(bapID string) string {
	if name, there := a.names[bapID]; there {
		return name
	}
	return authz.Identity{BAPID: bapID}.DisplayName()
}
