package server

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"countersign.dev/bitcoinauth"
	"countersign.dev/internal/authz"
)

// deviceAuthorization is the device authorization response (RFC 8628 §3.2,
// requirement D-10).
type deviceAuthorization struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int    `json:"expires_in"`
	Interval                int    `json:"interval"`
	MatchNumber             string `json:"match_number,omitempty"`
}

// deviceCode is the device authorization endpoint (RFC 8628 §3.1). The addresses it
// gives are the configured issuer's (requirement D-16), and the code stands in the
// complete one only (requirements D-14, D-15).
func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) error {
	// Before anything that costs (attack B-10).
	says := authz.DeviceSays{Origin: r.Header.Get("Origin")}
	if err := s.authz.AdmitDeviceRequest(s.source(r), says); err != nil {
		return err
	}
	p, err := decode(r)
	if err != nil {
		return err
	}
	says.Name, says.Platform = p.text("device_name"), p.text("device_platform")
	ask := authz.DeviceAsk{
		Scope: p.text("scope"), NumberMatch: p.flag("number_match"), Nonce: p.text("nonce"),
		SignatureRequired: p.text("approval") == authz.ApprovalSigned,
		Says:              says,
		Seen:              s.seen(r),
	}
	client, err := s.identifyClient(r, p)
	if err != nil {
		return err
	}
	d, err := s.authz.StartDevice(r.Context(), client, ask)
	if err != nil {
		return err
	}
	verificationURI := s.authz.Issuer() + "/device"
	answer := deviceAuthorization{
		DeviceCode: d.DeviceCode.Reveal(), UserCode: d.UserCode,
		VerificationURI: verificationURI, VerificationURIComplete: verificationURI + "?code=" + url.QueryEscape(d.UserCode),
		ExpiresIn: int(d.ExpiresIn / time.Second), Interval: int(d.Interval / time.Second),
	}
	if d.MatchNumber != 0 {
		answer.MatchNumber = strconv.Itoa(d.MatchNumber)
	}
	w.Header().Set("Pragma", "no-cache")
	return writeJSON(w, answer)
}

// seen is what a request shows of the device that sent it.
func (s *Server) seen(r *http.Request) authz.Seen {
	return authz.Seen{
		Network:   s.authz.NetworkOf(s.source(r)),
		UserAgent: r.UserAgent(),
	}
}

// deviceToken is the token endpoint as clients of the device flow know it
// (RFC 8628 §3.4): it takes the one grant type (requirement D-22).
func (s *Server) deviceToken(w http.ResponseWriter, r *http.Request) error {
	p, err := decode(r)
	if err != nil {
		return err
	}
	switch p.text("grant_type") {
	case authz.GrantDevice:
		return s.redeemDevice(w, r, p)
	case "":
		return errNoGrantType
	default:
		return errGrantType
	}
}

// redeemDevice answers one poll (RFC 8628 §3.4), at either token endpoint.
func (s *Server) redeemDevice(w http.ResponseWriter, r *http.Request, p *params) error {
	code := authz.Secret(p.text("device_code"))
	client, err := s.identifyClient(r, p)
	if err != nil {
		return err
	}
	wait := time.Duration(preferredWait(r.Header)) * time.Second
	if wait > 0 {
		wait = min(wait, authz.MaxWait)
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	tokens, err := s.authz.RedeemDevice(r.Context(), client, code, wait)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}

// deviceStatus is the page's own API (contract, section 1). It claims the request,
// so it is for a script of our own or a tool (ruling 0.13, decision 0027).
func (s *Server) deviceStatus(w http.ResponseWriter, r *http.Request) error {
	if navigation(r) {
		return errForPrograms
	}
	typed := r.URL.Query().Get("user_code")
	who, err := s.sessionOwner(r)
	if isUnauthorized(err) {
		code, request, err := s.authz.DeviceStatus(r.Context(), s.asker(r, authz.Owner{}), typed)
		if err != nil {
			return err
		}
		return writeJSON(w, deviceState{UserCode: code, Status: status(request)})
	}
	if err != nil {
		return err
	}
	code, request, err := s.authz.OpenDevice(r.Context(), who, s.asker(r, who), typed, true)
	if err != nil {
		return err
	}
	return writeJSON(w, deviceState{UserCode: code, Status: status(request), ClientID: request.ClientID, Scope: request.Scope})
}

type deviceState struct {
	UserCode string `json:"user_code"`
	Status   string `json:"status"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
}

// status is a state as better-auth clients know it: what became of an approval
// afterwards is the device's business.
func status(r authz.DeviceRequest) string {
	if r.State == authz.Redeemed {
		return string(authz.Approved)
	}
	return string(r.State)
}

// navigation reports whether a browser asks in order to show the answer: a link
// that somebody follows, a frame, an image. Where a link stood is not always told
// (a mail, a chat), and each wrong code would count against whoever follows it
// (attack B-02). Scripts and tools ask for nothing to be shown.
func navigation(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" || (dest != "" && dest != "empty")
}

// deviceApproval gives an owner what the page shows, and the statement to sign
// (design D7).
func (s *Server) deviceApproval(w http.ResponseWriter, r *http.Request) error {
	if navigation(r) {
		return errForPrograms
	}
	who, err := s.authenticate(r, &params{}, authz.Reads)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	facts, err := s.authz.ReviewDevice(r.Context(), who, s.asker(r, who), q.Get("user_code"), q.Get("scope"))
	if err != nil {
		return err
	}
	return writeJSON(w, newApprovalFacts(facts, s.authz.Statement(facts)))
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
	Scopes      []scopeFact `json:"scopes"`
	RequestedAt int64       `json:"requested_at"`
	ExpiresAt   int64       `json:"expires_at"`
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
	Statement string `json:"statement"`
}

type scopeFact struct {
	Scope    string `json:"scope"`
	Text     string `json:"text"`
	Weight   string `json:"weight"`
	Optional bool   `json:"optional"`
}

func newApprovalFacts(f authz.Facts, statement string) approvalFacts {
	out := approvalFacts{
		UserCode: f.UserCode, Status: string(f.Request.State),
		RequestedAt: f.Request.CreatedAt.Unix(), ExpiresAt: f.Request.ExpiresAt.Unix(),
		SignatureRequired: f.Request.SignatureRequired, Statement: statement,
		Lasts: int64(f.Lasts / time.Second), Renewed: f.Renewed,
	}
	out.Client.ID, out.Client.Name = f.Client.ID, f.Client.DisplayName()
	out.Client.Registered, out.Client.Verified = f.Client.Registered, f.Request.ClientProved
	for _, t := range authz.DescribeScopes(f.Scope) {
		out.Scopes = append(out.Scopes, scopeFact{t.Scope, t.Text, t.Weight, t.Optional})
	}
	out.Seen.Network = string(f.Network)
	out.Device.Name, out.Device.Platform = f.Request.Says.Name, f.Request.Says.Platform
	out.Device.UserAgent, out.Device.Origin = f.Request.Seen.UserAgent, f.Request.Says.Origin
	out.Imitates, out.ImitatesServer = f.Imitates.Name, f.Imitates.Server
	out.Reports.Client, out.Reports.Network = f.Reports.Client, f.Reports.Network
	out.Match.Kind, out.Match.Numbers = string(f.Match), f.Numbers
	out.Identity.BAPID, out.Identity.Pubkey, out.Identity.Name = f.Identity.BAPID, f.Identity.MemberKey, f.Identity.DisplayName()
	return out
}

type success struct {
	Success bool   `json:"success"`
	GrantID string `json:"grant_id,omitempty"`
}

// approveDevice takes an approval: of a session, or signed by the identity's key.
func (s *Server) approveDevice(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	d, statement := authz.Decision{UserCode: p.text("userCode"), Scope: p.text("scope"), Match: p.text("match")}, p.text("statement")
	if p.err != nil {
		return p.err
	}
	signed := r.Header.Get(bitcoinauth.Header) != ""
	switch {
	case !signed && statement != "":
		return &authz.Error{Code: authz.InvalidRequest, Description: "a statement counts only when the request is signed: send X-Auth-Token over exactly this body"}
	case signed && statement == "":
		return &authz.Error{Code: authz.InvalidRequest, Description: "a signed approval carries the statement that GET /api/auth/device/approval gave"}
	}
	who, err := s.authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	g, err := s.authz.ApproveDevice(r.Context(), who, s.asker(r, who), d)
	if err != nil {
		return err
	}
	return writeJSON(w, success{Success: true, GrantID: g.ID})
}

// denyDevice takes a denial.
func (s *Server) denyDevice(w http.ResponseWriter, r *http.Request) error {
	p, err := decodeJSON(r)
	if err != nil {
		return err
	}
	code, report := p.text("userCode"), p.flag("report")
	who, err := s.authenticate(r, p, authz.Stops)
	if err != nil {
		return err
	}
	if err := s.authz.DenyDevice(r.Context(), who, s.asker(r, who), code, report); err != nil {
		return err
	}
	return writeJSON(w, success{Success: true})
}
