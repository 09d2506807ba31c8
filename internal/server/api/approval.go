package api

import (
	"net/http"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/approval"
	"countersign.dev/internal/authz/scopes"
	"countersign.dev/internal/authz/statement"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
)

var errForPrograms = &authz.Error{Code: wire.CodeCrossOrigin, Description: "this address is for programs: open /device in the browser and enter the code there"}

// navigation reports whether a browser asks in order to show the answer: a link
// that somebody follows, a frame, an image. Where a link stood is not always told
// (a mail, a chat), and each wrong code would count against whoever follows it
// (attack B-02). Scripts and tools ask for nothing to be shown.
func navigation(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" || (dest != "" && dest != "empty")
}

// DeviceApproval gives an owner what the page shows, and the statement to sign
// (design D7).
func (a *API) DeviceApproval(w http.ResponseWriter, r *http.Request) error {
	if navigation(r) {
		return errForPrograms
	}
	who, err := a.gate.Authenticate(r, &wire.Params{}, authz.Reads)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	facts, err := a.issuer.Approvals.Facts(r.Context(), who, a.door.Asker(r, who), q.Get("user_code"), q.Get("scope"))
	if err != nil {
		return err
	}
	shown, err := newApprovalFacts(facts, a.issuer.Approvals.Statement(facts))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, shown)
}

// approvalFacts is what an owner is shown, for tools.
type approvalFacts struct {
	UserCode string `json:"user_code"`
	Status   string `json:"status"`
	Client   struct {
		ID   string `json:"client_id"`
		Name string `json:"client_name"`
		// Registered: the operator knows an application of this name; anybody can use
		// the id of a public one. Verified: this one has proved that it is the one.
		Registered bool `json:"registered"`
		Verified   bool `json:"verified"`
	} `json:"client"`
	Scopes []scopeFact `json:"scopes"`
	// Resources are whose APIs these are for; none: this server alone.
	Resources   []resourceFact `json:"resources,omitempty"`
	RequestedAt int64          `json:"requested_at"`
	ExpiresAt   int64          `json:"expires_at"`
	Seen        struct {
		Network string `json:"network"`
	} `json:"seen"`
	// Device is what the device says of itself, in its parameters and its headers.
	Device struct {
		Name      string `json:"name,omitempty"`
		Platform  string `json:"platform,omitempty"`
		UserAgent string `json:"user_agent,omitempty"`
		Origin    string `json:"origin,omitempty"`
	} `json:"device"`
	Match struct {
		Kind    string   `json:"kind"`
		Numbers []string `json:"numbers,omitempty"`
	} `json:"match"`
	// Reports are how many reporters, each a network or an account, named the client,
	// and the network the device asked from, in the last day, where they are several.
	Reports struct {
		Client  int `json:"client"`
		Network int `json:"network"`
	} `json:"reports"`
	// Imitates is the registered client that this one could be taken for.
	Imitates string `json:"imitates,omitempty"`
	// ImitatesServer: its id poses as a part of this server.
	ImitatesServer    bool `json:"imitates_server,omitempty"`
	SignatureRequired bool `json:"signature_required"`
	// Lasts is in seconds.
	Lasts    int64 `json:"lasts"`
	Renewed  bool  `json:"renewed"`
	Identity struct {
		BAPID  string `json:"bap_id"`
		Pubkey string `json:"pubkey"`
		Name   string `json:"name"`
	} `json:"identity"`
	*agentFacts        // of an agent's request alone
	Statement   string `json:"statement"`
}

type scopeFact struct {
	Scope    string `json:"scope"`
	Text     string `json:"text"`
	Weight   string `json:"weight"`
	Optional bool   `json:"optional"`
}

type resourceFact struct {
	Resource string `json:"resource"`
	Name     string `json:"name"`
	Host     string `json:"host"`
}

func newApprovalFacts(f approval.Facts, statement string) (approvalFacts, error) {
	out := approvalFacts{
		UserCode: f.UserCode, Status: string(f.Request.State),
		RequestedAt: f.Request.CreatedAt.Unix(), ExpiresAt: f.Request.ExpiresAt.Unix(),
		SignatureRequired: f.Request.SignatureRequired, Statement: statement,
		Lasts: int64(f.Lasts / time.Second), Renewed: f.Renewed,
	}
	out.Client.ID, out.Client.Name = f.Client.ID, f.Client.DisplayName()
	out.Client.Registered, out.Client.Verified = f.Client.Registered, f.Request.ClientProved
	for _, t := range scopes.Describe(f.Scope) {
		out.Scopes = append(out.Scopes, scopeFact{t.Scope, t.Text, t.Weight, t.Optional})
	}
	for _, r := range f.Resources {
		out.Resources = append(out.Resources, resourceFact{r.URI, r.Name, r.Host})
	}
	out.Seen.Network = string(f.Network)
	out.Device.Name, out.Device.Platform = f.Request.Says.Name, f.Request.Says.Platform
	out.Device.UserAgent, out.Device.Origin = f.Request.Seen.UserAgent, f.Request.Says.Origin
	out.Imitates, out.ImitatesServer = f.Imitates.Name, f.Imitates.Server
	out.Reports.Client, out.Reports.Network = f.Reports.Client, f.Reports.Network
	out.Match.Kind, out.Match.Numbers = string(f.Match), f.Numbers
	out.Identity.BAPID, out.Identity.Pubkey, out.Identity.Name = f.Identity.BAPID, f.Identity.MemberKey, f.Identity.DisplayName()
	var err error
	if f.Agent != nil {
		out.agentFacts, err = newAgentFacts(*f.Agent, statement)
	}
	return out, err
}

// ApproveDevice takes an approval: of a session, or signed by the identity's key, or, of what
// an agent asks, of a session with a passkey's signature.
func (a *API) ApproveDevice(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	d := approval.Decision{UserCode: p.Text("userCode"), Scope: p.Text("scope"), Match: p.Text("match")}
	says, assertion := p.Text("statement"), p.Text("assertion")
	if p.Err != nil {
		return p.Err
	}
	signed := r.Header.Get(bitcoinauth.Header) != ""
	switch {
	case signed && assertion != "":
		return &authz.Error{Code: authz.InvalidRequest, Description: "one signature counts: send X-Auth-Token, or a session with assertion"}
	case !signed && assertion == "" && says != "":
		return &authz.Error{Code: authz.InvalidRequest, Description: "a statement counts only with a signature: send X-Auth-Token over exactly this body, or of an agent's request the assertion of a passkey"}
	case says == "" && (signed || assertion != ""):
		return &authz.Error{Code: authz.InvalidRequest, Description: "a signed approval carries the statement that GET /api/auth/device/approval gave"}
	case assertion != "":
		d.Answer = &statement.Answer{Statement: says, Assertion: assertion, Path: r.URL.RequestURI(), Body: p.Raw()}
	}
	who, err := a.gate.Authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	g, err := a.issuer.Approvals.Approve(r.Context(), who, a.door.Asker(r, who), d)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true, GrantID: g.ID})
}

// DenyDevice takes a denial.
func (a *API) DenyDevice(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	code, report := p.Text("userCode"), p.Flag("report")
	who, err := a.gate.Authenticate(r, p, authz.Stops)
	if err != nil {
		return err
	}
	if err := a.issuer.Approvals.Deny(r.Context(), who, a.door.Asker(r, who), code, report); err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true})
}
